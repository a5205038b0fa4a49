'use strict'

const { Buffer } = require('node:buffer')

/**
 * What is read at once. Of short replies not all that there are, so that Redis has work again before
 * the rest is read; of long ones several, as each read costs about as much as ten kilobytes.
 */
const PORTION = 32 * 1024
const LARGEST_PORTION = 256 * 1024
const REPLIES = 8

/** What has been read and not been used. */
class Inbox {
  bytes = Buffer.allocUnsafeSlow(2 * PORTION)
  /** Where it begins, and ends. */
  start = 0
  end = 0
  /** How long the reply that begins there is at least. */
  #length = 0
  #portion = PORTION
  /** Where a portion goes when there is nothing before it. */
  #front = this.bytes.subarray(0, PORTION)

  /** Where the next bytes go. */
  space() {
    const { bytes, start, end } = this
    const rest = end - start
    const portion = this.#portion
    if (rest === 0) {
      this.start = 0
      this.end = 0
      // What one long reply has taken is given back.
      const isFit = bytes.length >= portion && bytes.length <= 2 * LARGEST_PORTION
      if (!isFit) this.#replace(2 * portion)
      if (this.#front.length !== portion) this.#front = this.bytes.subarray(0, portion)
      return this.#front
    }
    const length = Math.max(portion, this.#length - rest)
    if (end + length > bytes.length) {
      // Doubled at least: however many portions a reply comes in, it is copied twice at most.
      if (rest + length > bytes.length) this.#replace(Math.max(rest + length, 2 * rest))
      bytes.copy(this.bytes, 0, start, end)
      this.start = 0
      this.end = rest
    }
    return this.bytes.subarray(this.end, this.end + length)
  }

  /** So many bytes have come. Whether they may be the end of a reply. @param {number} length */
  add(length) {
    this.end += length
    return this.end - this.start >= this.#length
  }

  /**
   * What is left begins there.
   *
   * @param {number} start
   * @param {number} length of the reply, at least; 0 where nothing is left
   * @param {number} longest the longest that was used
   */
  keep(start, length, longest) {
    this.start = start
    this.#length = length
    const portion = Math.max(length, longest) * REPLIES
    this.#portion = Math.min(Math.max(PORTION, portion), LARGEST_PORTION)
  }

  /** @param {number} capacity */
  #replace(capacity) {
    this.bytes = Buffer.allocUnsafeSlow(capacity)
    this.#front = this.bytes.subarray(0, this.#portion)
  }
}

module.exports = { Inbox }
