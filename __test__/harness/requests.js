'use strict'

const NEWLINE = Buffer.from('\r\n')

/** Takes a stream of bytes apart into the requests that a client sends: lists of words. */
class Requests {
  #rest = Buffer.alloc(0)

  /**
   * @param {Buffer} bytes
   * @returns {Buffer[][]} the requests that are complete by now
   */
  push(bytes) {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    const complete = []
    let at = 0
    for (;;) {
      const found = requestAt(this.#rest, at)
      if (!found) break
      complete.push(found.words)
      at = found.end
    }
    this.#rest = this.#rest.subarray(at)
    return complete
  }
}

/** The request that begins there, and where it ends; undefined while it is not complete. */
function requestAt(bytes, start) {
  const count = numberAt(bytes, start, '*')
  if (!count) return undefined
  const words = []
  let at = count.end
  for (let n = 0; n < count.number; n++) {
    const length = numberAt(bytes, at, '$')
    if (!length) return undefined
    const end = length.end + length.number
    if (bytes.length < end + NEWLINE.length) return undefined
    words.push(bytes.subarray(length.end, end))
    at = end + NEWLINE.length
  }
  return { words, end: at }
}

function numberAt(bytes, start, type) {
  const end = bytes.indexOf(NEWLINE, start)
  if (end === -1) return undefined
  const line = bytes.toString('latin1', start, end)
  if (line[0] !== type) throw new Error(`no request: ${line.slice(0, 100)}`)
  return { number: Number(line.slice(1)), end: end + NEWLINE.length }
}

/** A request as it is sent. @param {(string | Buffer)[]} words */
function requestOf(words) {
  return Buffer.concat([Buffer.from(`*${words.length}\r\n`), ...words.map(bulk)])
}

/** A string of any bytes, as both sides send it. @param {string | Buffer} value */
function bulk(value) {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, NEWLINE])
}

module.exports = { Requests, bulk, requestOf }
