'use strict'

const { now } = require('../realm/clock.js')
const { delay } = require('../realm/delay.js')
const { ConcurrencyError } = require('../realm/errors.js')

/** The longest pause after a conflict, ms: enough for some hundred writers in other processes. */
const MAX_PAUSE_MS = 64
/**
 * The last part of its time in which `modifySession` makes no more attempt: of one that Redis does
 * not answer before the deadline, the outcome is unknown.
 */
const RESERVE_PART = 1 / 10

/**
 * A session that is to be modified.
 *
 * @typedef {object} Session
 * @property {(withinMs: number) => Promise<{ state: any, copy: () => any }>} read the state, and what makes the
 *   same state again: `change` may alter the one that it gets
 * @property {(state: any) => any} change the state to write; undefined to leave it as it is
 * @property {(next: any, version: number, withinMs: number) => Promise<any>} write resolves to what is stored then
 * @property {() => void} again called before each further attempt
 */

/**
 * Reads a session, changes it and writes it with the version that was read; again on a conflict, after a
 * random pause, until the deadline. Resolves to what is stored then.
 *
 * @param {Session} session
 * @param {number | undefined} retries how many conflicts may be followed by another attempt; any number if
 *   undefined
 * @param {number} deadline
 * @param {number} timeMs how long the whole may take
 */
async function modify({ read, change, write, again }, retries, deadline, timeMs) {
  const left = () => wholeMs(deadline - now())
  for (let conflicts = 1; ; conflicts++) {
    const { state, copy } = await read(left())
    const { version } = state
    // Of the time that is left now: what the callback takes is not cut off.
    const writeMs = left()
    const next = await change(state)
    if (next === undefined) return copy()
    try {
      return await write(next, version, writeMs)
    } catch (error) {
      const isConflict = error instanceof ConcurrencyError
      if (!isConflict || (retries !== undefined && conflicts > retries)) throw error
      const pauseMs = Math.floor(Math.random() * Math.min(2 ** conflicts, MAX_PAUSE_MS))
      if (now() + pauseMs > deadline - timeMs * RESERVE_PART) throw error
      if (pauseMs > 0) await delay(pauseMs)
      again()
    }
  }
}

/** At least one, as the core takes no less. @param {number} ms */
function wholeMs(ms) {
  return Math.max(Math.floor(ms), 1)
}

module.exports = { modify }
