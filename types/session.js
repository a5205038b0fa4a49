'use strict'

module.exports = require('../lib/types.js')
