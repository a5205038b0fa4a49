'use strict'

/**
 * The way through the core, beside the fast path, and which sessions are to stay on it.
 *
 * @typedef {InstanceType<typeof import('./settle.js').Call>} Call
 */
class OtherWay {
  #calls
  /** The sessions with something on this way, and how much. @type {Map<string, number>} */
  #sessions = new Map()

  /**
   * @param {import('../native.js').NativeStore} store
   * @param {InstanceType<typeof import('./settle.js').Calls>} calls
   */
  constructor(store, calls) {
    this.store = store
    this.#calls = calls
  }

  /** Whether the fast path would overtake something. @param {string} sessionId */
  has(sessionId) {
    return this.#sessions.size > 0 && this.#sessions.has(sessionId)
  }

  /** What was handed to the core is to be sent. */
  sendSoon() {
    this.#calls.sendSoon()
  }

  /**
   * Keeps a session on this way until something of it is settled that is on it.
   *
   * @template T
   * @param {string} sessionId
   * @param {Promise<T>} settled
   */
  async keep(sessionId, settled) {
    this.#sessions.set(sessionId, (this.#sessions.get(sessionId) ?? 0) + 1)
    const outcome = await settled
    const left = /** @type {number} */ (this.#sessions.get(sessionId)) - 1
    if (left > 0) this.#sessions.set(sessionId, left)
    else this.#sessions.delete(sessionId)
    return outcome
  }
}

module.exports = { OtherWay }
