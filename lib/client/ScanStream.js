'use strict'

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

module.exports = { scanStream }
