'use strict'

module.exports = require('../lib/realm/errors.js')
