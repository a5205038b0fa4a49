'use strict'

const { addMethod } = require('./commands.js')
const { scanStream } = require('./ScanStream.js')

/**
 * Gives a client the methods `scanStream(options)`, `hscanStream(key, options)` and so on, and those
 * whose stream holds buffers (`scanBufferStream`).
 *
 * @param {any} prototype
 */
function addScanStreams(prototype) {
  for (const command of ['scan', 'hscan', 'sscan', 'zscan']) {
    const keys = command === 'scan' ? 0 : 1
    addMethod(prototype, `${command}Stream`, streamOf(command, keys))
    addMethod(prototype, `${command}BufferStream`, streamOf(`${command}Buffer`, keys))
  }
}

/** @param {string} method @param {number} keys how many arguments come before the cursor */
function streamOf(method, keys) {
  /** @this {any} @param {any[]} args */
  return function (...args) {
    const { match, type, count, noValues, ...options } = args[keys] ?? {}
    /** @type {unknown[]} */
    const words = []
    if (match !== undefined) words.push('MATCH', match)
    if (type !== undefined) words.push('TYPE', type)
    if (count !== undefined) words.push('COUNT', count)
    if (noValues) words.push('NOVALUES')
    return scanStream((cursor) => this[method](...args.slice(0, keys), cursor, ...words), options)
  }
}

module.exports = { addScanStreams }
