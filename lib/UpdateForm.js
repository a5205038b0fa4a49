'use strict'

const { text, word } = require('./resp.js')

/** How long a ledger goes without renewal, ms: its TTL is much longer. */
const RENEWAL_MS = 60_000

/**
 * A locked update.
 *
 * @typedef {object} AsCalled
 * @property {string} sessionId
 * @property {string} document what is stored if it is applied, with its version first
 * @property {number} version
 * @property {number} now when it was called, milliseconds since the epoch
 * @property {string} recordId of the audit's record, where there is an audit
 *
 * @typedef {{ ledger: string, number: number }} Noted where it notes in Redis that it was applied
 */

/** Numbers the writes of a connection (`src/redis/ledger.rs`). */
class Ledger {
  #key
  #last = 0
  #renewed = Number.NEGATIVE_INFINITY

  /** @param {string} key */
  constructor(key) {
    this.#key = key
  }

  /** The next place. @returns {Noted} */
  next() {
    return { ledger: this.#key, number: ++this.#last }
  }

  /** Whether the next write is to renew the TTL. @param {number} now milliseconds since the epoch */
  renews(now) {
    if (Math.abs(now - this.#renewed) < RENEWAL_MS) return false
    this.#renewed = now
    return true
  }
}

/** The command of a locked update (`src/session/carried.rs`, `src/session/scripts/write.lua`). */
class UpdateForm {
  #keyPrefix
  #head
  #stream
  #tail
  #places
  #width

  /** @param {string} keyPrefix @param {string} form what the core says of it */
  constructor(keyPrefix, form) {
    const { head, stream, tail, places, width } = JSON.parse(form)
    this.#keyPrefix = keyPrefix
    this.#head = head
    this.#stream = stream
    this.#tail = tail
    this.#places = places
    this.#width = width
  }

  /** Whether its updates have records. */
  get isAudited() {
    return this.#stream !== ''
  }

  /**
   * As it is sent. All but the document is ASCII.
   *
   * @param {AsCalled} update
   * @param {Noted} noted
   * @param {boolean} renews whether it renews its ledger's TTL
   */
  command({ sessionId, document, version, now, recordId }, { ledger, number }, renews) {
    const keys = `${word(ledger)}${word(this.#keyPrefix + sessionId)}${this.#stream}`
    const place = (number % this.#places) * this.#width
    const note = `${word(place)}${word(number)}${word('')}${word(renews ? 'renew' : '')}`
    const what = `${word(version)}${text(document)}${word(`{"version":${version - 1},`)}`
    return `${this.#head}${keys}${note}${what}${word(sessionId)}${word(now)}${word(recordId)}${this.#tail}`
  }
}

module.exports = { Ledger, UpdateForm }
