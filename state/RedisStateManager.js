'use strict'

module.exports = require('../lib/session/RedisStateManager.js')
