'use strict'

const { now } = require('../realm/clock.js')
const { after } = require('../realm/delay.js')

/** The longest that a turn lasts while others wait, ms, and as a part of the caller's time. */
const TURN_MS = 1000
const TURN_PART = 1 / 5
/** The part of its time after which a caller waits no longer for its turn. */
const PATIENCE_PART = 1 / 2

/**
 * Whose turn it is to modify a session: callers of one manager do so one after the other, in the
 * order of their calls.
 *
 * A turn saves conflicts, and is not needed for a correct write, because each write has a version to
 * expect. So nobody waits for it without end: a callback that takes too long loses its turn and goes
 * on, and a caller that has waited for half of its time goes ahead without one.
 */
class Turns {
  /** By session id, while somebody has the turn. @type {Map<string, Line>} */
  #lines = new Map()
  #callMs
  #turnMs
  #overdue
  #isClosed = false

  /**
   * @param {number} callMs the time of each caller
   * @param {(sessionId: string, turnMs: number) => void} overdue told of who loses its turn
   */
  constructor(callMs, overdue) {
    this.#callMs = callMs
    this.#turnMs = Math.ceil(Math.min(TURN_MS, callMs * TURN_PART))
    this.#overdue = overdue
  }

  /**
   * Takes the turn, if nobody has it. Returns what ends it.
   *
   * @param {string} sessionId
   */
  take(sessionId) {
    if (this.#isClosed) return nothing
    if (this.#lines.has(sessionId)) return undefined
    /** @type {Line} */
    const line = { turn: 1, waiting: [], cancel: undefined }
    this.#lines.set(sessionId, line)
    return this.#endOf(sessionId, line)
  }

  /**
   * Resolves when the caller may begin, to what ends its turn. To be called if the turn is taken.
   *
   * @param {string} sessionId
   * @returns {Promise<() => void>}
   */
  wait(sessionId) {
    const until = now() + this.#callMs * PATIENCE_PART
    return new Promise((begin) => {
      const line = this.#lines.get(sessionId)
      if (line === undefined) return begin(nothing)
      line.waiting.push({ begin, until })
      if (line.cancel === undefined) this.#watch(sessionId, line)
    })
  }

  /** All who wait may begin, and nobody waits from now on. */
  close() {
    this.#isClosed = true
    for (const line of this.#lines.values()) {
      line.cancel?.()
      for (const { begin } of line.waiting.splice(0)) begin(nothing)
    }
  }

  /** @param {string} sessionId @param {Line} line */
  #endOf(sessionId, line) {
    const { turn } = line
    return () => {
      if (line.turn === turn) this.#next(sessionId, line)
    }
  }

  /** @param {string} sessionId @param {Line} line */
  #next(sessionId, line) {
    line.turn++
    const next = line.waiting.shift()
    if (next !== undefined) return next.begin(this.#endOf(sessionId, line))
    line.cancel?.()
    this.#lines.delete(sessionId)
  }

  /** Looks after a while whether the turn is still the same. @param {string} sessionId @param {Line} line */
  #watch(sessionId, line) {
    const { turn } = line
    const look = () => {
      line.cancel = undefined
      const time = now()
      while (line.waiting[0] !== undefined && line.waiting[0].until <= time) {
        line.waiting.shift()?.begin(nothing)
      }
      if (line.waiting.length === 0) return
      this.#watch(sessionId, line)
      if (line.turn !== turn) return
      this.#overdue(sessionId, this.#turnMs)
      this.#next(sessionId, line)
    }
    line.cancel = after(this.#turnMs, look, { keepsAlive: true })
  }
}

function nothing() {}

/**
 * @typedef {object} Line
 * @property {number} turn the number of the turn
 * @property {{ begin: (end: () => void) => void, until: number }[]} waiting the longest first
 * @property {(() => void) | undefined} cancel what ends the watch, while there is one
 */

module.exports = { Turns }
