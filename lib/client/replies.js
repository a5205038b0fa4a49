'use strict'

const { Buffer } = require('node:buffer')
const { RedisReplyError } = require('../realm/errors.js')
const { fromWire } = require('../realm/wire.js')

const CR = 13
const INTEGER = 58 // :
const BULK = 36 // $
const ARRAY = 42 // *
const ERROR = 45 // -
const FAILURE = 33 // !

/**
 * Replies in RESP2, one after the other. The core has checked that they are whole. Among those of a
 * cluster, `!` begins the line that says why a command has no reply.
 */
class Replies {
  #bytes
  #at = 0

  /** @param {Buffer} bytes */
  constructor(bytes) {
    this.#bytes = bytes
  }

  /** Whether there is none left. */
  get isOver() {
    return this.#at >= this.#bytes.length
  }

  /**
   * The next one; an error is a value.
   *
   * @param {boolean} asBuffers whether strings come as buffers
   * @returns {any}
   */
  next(asBuffers) {
    const kind = this.#bytes[this.#at++]
    switch (kind) {
      case BULK: {
        const length = Number(this.#line())
        if (length < 0) return null
        const begin = this.#at
        this.#at += length + 2
        return this.#string(begin, begin + length, asBuffers)
      }
      case INTEGER:
        return Number(this.#line())
      case ARRAY:
        return Array.from({ length: Number(this.#line()) }, () => this.next(asBuffers))
      case ERROR:
        return new RedisReplyError(this.#line())
      case FAILURE:
        return fromWire(this.#line())
      default: {
        const begin = this.#at
        this.#line()
        return this.#string(begin, this.#at - 2, asBuffers)
      }
    }
  }

  /**
   * The reply to `EXEC`: a list of replies, null or an error.
   *
   * @param {boolean[]} asBuffers for each of them, whether strings come as buffers
   * @returns {any}
   */
  list(asBuffers) {
    if (this.#bytes[this.#at] !== ARRAY) return this.next(false)
    this.#at++
    this.#line()
    return asBuffers.map((each) => this.next(each))
  }

  /** The text up to the end of the line. */
  #line() {
    const begin = this.#at
    const end = this.#bytes.indexOf(CR, begin)
    this.#at = end + 2
    return this.#bytes.toString('utf8', begin, end)
  }

  /** @param {number} begin @param {number} end @param {boolean} asBuffers */
  #string(begin, end, asBuffers) {
    // A copy, or else a few bytes would keep all replies in memory.
    if (asBuffers) return Buffer.from(this.#bytes.subarray(begin, end))
    return this.#bytes.toString('utf8', begin, end)
  }
}

/** @typedef {InstanceType<typeof Replies>} ReplyReader */

/**
 * A reply in the shape in which ioredis gives it.
 *
 * @param {string} name of the command
 * @param {any} reply
 */
function shaped(name, reply) {
  if (name !== 'hgetall' || !Array.isArray(reply)) return reply
  /** @type {Record<string, unknown>} */
  const fields = {}
  for (let at = 0; at < reply.length; at += 2) {
    // Defined, as an assignment to `__proto__` would be lost.
    const field = { value: reply[at + 1], configurable: true, enumerable: true, writable: true }
    Object.defineProperty(fields, reply[at], field)
  }
  return fields
}

module.exports = { Replies, shaped }
