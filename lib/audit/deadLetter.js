'use strict'

const { stored } = require('../document/document.js')
const { DatabaseError } = require('../realm/errors.js')

/** @param {any} letter as `letter_to_json` in `src/node/queue.rs` writes it */
function toLetter({ queuedAtMs, failedAtMs, state, error, sqlstate, ...record }) {
  return {
    ...record,
    queuedAt: new Date(queuedAtMs),
    failedAt: new Date(failedAtMs),
    error: new DatabaseError(error, sqlstate),
    sqlstate,
    ...readable(state),
  }
}

/**
 * The state of a letter. One that another program has queued may be no JSON.
 *
 * @param {string | null} text
 */
function readable(text) {
  try {
    return { state: text === null ? null : stored(text, {}), rawState: null }
  } catch {
    return { state: null, rawState: text }
  }
}

module.exports = { toLetter }
