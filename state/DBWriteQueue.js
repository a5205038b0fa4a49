'use strict'

module.exports = require('../lib/audit/DBWriteQueue.js')
