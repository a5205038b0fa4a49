'use strict'

module.exports = require('../lib/RedisStateManager.js')
