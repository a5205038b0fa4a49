'use strict'

module.exports = require('../lib/RedisClient.js')
