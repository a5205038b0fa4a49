'use strict'

const { copyOf } = require('./copy.js')
const { read } = require('./document.js')
const { Failure } = require('../realm/settle.js')

/** How many states are kept, and how many characters the text of each may have. */
const MOST = 1000
const LONGEST = 8000

/**
 * The states that were parsed last. Where a session is read again and its text has not changed, its
 * state is copied, in a fifth of the time. A state is kept when its text comes the second time.
 *
 * This is for a store in the process, where parsing is most of a read. It decides nothing: the same
 * text always means the same state.
 */
class ParsedStates {
  /** By session id, the oldest first. @type {Map<string, { text: string, state: any }>} */
  #parsed = new Map()

  /**
   * What `read` returns.
   *
   * @param {string} text
   * @param {number} isoStrings
   * @param {string} sessionId
   */
  read(text, isoStrings, sessionId) {
    const known = this.#parsed.get(sessionId)
    if (known?.text !== text) {
      this.#note(sessionId, text)
      return read(text, isoStrings, sessionId)
    }
    if (known.state !== undefined) return copyOf(known.state)
    const state = read(text, isoStrings, sessionId)
    // The original is kept: to copy a copy takes V8 twice the time.
    const copy = state instanceof Failure ? undefined : copyOf(state)
    if (copy === undefined) return state
    known.state = state
    return copy
  }

  /** @param {string} sessionId @param {string} text */
  #note(sessionId, text) {
    this.#parsed.delete(sessionId)
    if (text.length > LONGEST) return
    this.#parsed.set(sessionId, { text, state: undefined })
    if (this.#parsed.size > MOST) {
      this.#parsed.delete(/** @type {string} */ (this.#parsed.keys().next().value))
    }
  }
}

module.exports = { ParsedStates }
