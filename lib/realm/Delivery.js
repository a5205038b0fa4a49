'use strict'

const { now } = require('./clock.js')
const { Completions } = require('./native.js')

/** The most that is delivered in one turn of the event loop. */
const MOST_A_TURN = 512

let latest = 0

/**
 * When completions were last delivered, by `clock.now()`. Whoever goes on upon an answer reads when the
 * answer came: one look at the clock is for all that were delivered together.
 */
function deliveredAt() {
  return latest
}

/**
 * Delivers the core's completions to `settle`, and lets timers and sockets have their turn meanwhile.
 *
 * Node calls `#deliver` again and again while the core has more, without a turn of its event loop in
 * between. So after many completions it waits for a message to itself: unlike `setImmediate`, a
 * test's fake timers do not replace it.
 *
 * @typedef {(slot: number, kind: number, number: number, text: any, more: string | null) => void} Settle
 */
class Delivery {
  completions = new Completions(() => this.#deliver())
  #settle
  /** How much was delivered since the event loop last turned. */
  #delivered = 0
  #isTurning = false
  /** Whether more has come since the limit was reached. */
  #isOverdue = false
  #isClosed = false
  /** @type {import('node:worker_threads').MessageChannel | undefined} */
  #channel

  /** @param {Settle} settle */
  constructor(settle) {
    this.#settle = settle
  }

  close() {
    this.#isClosed = true
    this.completions.close()
    this.#channel?.port1.close()
  }

  #deliver() {
    if (this.#delivered >= MOST_A_TURN) {
      this.#isOverdue = true
      return
    }
    this.#delivered += this.completions.drain(this.#settle, MOST_A_TURN)
    latest = now()
    // With fewer there is time enough.
    const isMuch = this.#delivered >= MOST_A_TURN / 2
    if (!isMuch || this.#isTurning || this.#isClosed) return
    this.#isTurning = true
    this.#channel ??= this.#openChannel()
    this.#channel.port2.postMessage(null)
  }

  #turned() {
    this.#isTurning = false
    this.#delivered = 0
    if (!this.#isOverdue) return
    this.#isOverdue = false
    this.#deliver()
  }

  #openChannel() {
    // Of Node itself, and not loaded before it is needed: that takes 2 ms.
    const { MessageChannel } = require('node:worker_threads')
    const channel = new MessageChannel()
    channel.port1.on('message', () => this.#turned())
    channel.port1.unref() // The calls in flight keep the process alive.
    return channel
  }
}

module.exports = { Delivery, deliveredAt }
