'use strict'

const BAR = 24
/** How often the line is written again, ms. */
const EVERY_MS = 200

/** A line that tells how far a command is, on a terminal only; it vanishes at the end. */
class Progress {
  #stream
  #shown = false
  #last = 0

  /** @param {NodeJS.WritableStream} stream @param {boolean} isShown */
  constructor(stream, isShown) {
    this.#stream = isShown && 'isTTY' in stream && stream.isTTY ? stream : undefined
  }

  /**
   * @param {number} share from 0 to 1
   * @param {string} text
   */
  show(share, text) {
    const now = performance.now()
    if (!this.#stream || (this.#shown && now - this.#last < EVERY_MS)) return
    this.#last = now
    this.#shown = true
    const full = Math.round(Math.min(1, Math.max(0, share)) * BAR)
    this.#stream.write(`\r\x1b[K[${'#'.repeat(full)}${'.'.repeat(BAR - full)}] ${text}`)
  }

  end() {
    if (this.#shown) this.#stream?.write('\r\x1b[K')
    this.#shown = false
  }
}

module.exports = { Progress }
