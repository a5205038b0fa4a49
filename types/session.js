'use strict'

module.exports = require('../lib/realm/types.js')
