'use strict'

module.exports = require('../lib/DBWriteQueue.js')
