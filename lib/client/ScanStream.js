'use strict'

const { addMethod } = require('./commands.js')

/**
 * What a scanning command finds, as a stream: one array for each step.
 *
 * @callback Scan
 * @param {string} cursor
 * @returns {Promise<[string | Buffer, unknown[]]>} the next cursor, `0` at the end, and what was found
 */

/** @type {ReturnType<typeof makeClass> | undefined} */
let made

/**
 * Streams what a scanning command finds.
 *
 * @param {Scan} scan
 * @param {import('node:stream').ReadableOptions} options
 */
function scanStream(scan, options) {
  made ??= makeClass()
  return new made(scan, options)
}

/** Not before it is needed: to load Node's streams takes 3 ms of what `require` has. */
function makeClass() {
  const { Readable } = require('node:stream')
  return class ScanStream extends Readable {
    #scan
    #cursor = '0'
    #isOver = false

    /** @param {Scan} scan @param {import('node:stream').ReadableOptions} options */
    constructor(scan, options) {
      super({ ...options, objectMode: true })
      this.#scan = scan
    }

    /** Ends the stream. */
    close() {
      if (this.#isOver) return
      this.#isOver = true
      this.push(null)
    }

    _read() {
      this.#scan(this.#cursor).then(
        ([cursor, found]) => {
          this.#cursor = String(cursor)
          if (this.#isOver) return
          this.push(found)
          if (this.#cursor === '0') this.close()
        },
        (error) => this.destroy(error),
      )
    }
  }
}

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
