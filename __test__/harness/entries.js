'use strict'

const { exports: subpaths } = require('../../package.json')

/** What can be imported of the package: its name, alone and with each subpath. */
const entries = Object.keys(subpaths)
  .filter((subpath) => subpath !== './package.json')
  .map((subpath) => `synckairos-state${subpath.slice(1)}`)

module.exports = { entries }
