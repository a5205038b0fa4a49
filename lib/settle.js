'use strict'

const { Completions } = require('../native.js')
const { fromWire } = require('./errors.js')

// The kinds of `src/node/completions.rs`. 0 and 1 end a call, without and with a text.
const FAILED = 2
const PART = 3

/** The kinds of news: what a listener's `news` gets as its first argument. */
const News = Object.freeze({
  STATUS: 4,
  UPDATE: 5,
  WEB_SOCKET: 6,
  CONFIRMED: 7,
  GAP: 8,
  MALFORMED: 9,
  LOST: 10,
})

/**
 * A call that failed, on its way to the method that made it. That method throws the error, so
 * that the error is made while the method is resumed and its stack leads to the caller's line;
 * to note every caller's line in advance would cost every call.
 */
class Failure {
  /** @param {() => Error} toError */
  constructor(toError) {
    this.toError = toError
  }
}

/**
 * @template T
 * @param {T | Failure} outcome
 * @returns {T}
 */
function unwrap(outcome) {
  if (outcome instanceof Failure) throw outcome.toError()
  return outcome
}

/**
 * What becomes of an answer: `text` is null where the answer is a number alone.
 *
 * @callback Read
 * @param {string | null} text
 * @param {number} number
 * @param {Call} call
 * @returns {unknown}
 */

/** A promise that waits in a slot. */
class Call {
  /**
   * @param {{ inFlight: number }} owner
   * @param {Read} read
   * @param {string} [sessionId]
   */
  constructor(owner, read, sessionId) {
    this.owner = owner
    this.read = read
    this.sessionId = sessionId
    /** @type {[string | null, number][] | undefined} */
    this.parts = undefined
    /** @type {(outcome: any) => void} */
    this.resolve = noop
    /** @type {Promise<any>} */
    this.promise = new Promise((resolve) => {
      this.resolve = resolve
    })
    this.slot = occupy(this)
    owner.inFlight++
    open() // Not to be closed before this is settled.
  }

  /**
   * @param {number} kind
   * @param {number} number
   * @param {string | null} text
   */
  settle(kind, number, text) {
    if (kind === PART) {
      this.parts ??= []
      this.parts.push([text, number])
      return
    }
    vacate(this.slot)
    this.owner.inFlight--
    if (kind === FAILED) {
      this.resolve(new Failure(() => fromWire(/** @type {string} */ (text), this.sessionId)))
    } else {
      this.resolve(this.read(text, number, this))
    }
    close()
  }
}

/**
 * Who hears of what is no answer: a client's status, a feed's messages.
 *
 * @typedef {object} Listener
 * @property {(kind: number, number: number, text: string | null, more: string | null) => void} news
 */

/** @type {(Call | Listener | undefined)[]} */
const slots = []
/** @type {number[]} */
const vacant = []

/** @param {Call | Listener} occupant */
function occupy(occupant) {
  const slot = vacant.pop() ?? slots.length
  slots[slot] = occupant
  return slot
}

/** @param {number} slot */
function vacate(slot) {
  slots[slot] = undefined
  vacant.push(slot)
}

/**
 * @param {number} slot
 * @param {number} kind
 * @param {number} number
 * @param {string | null} text
 * @param {string | null} more
 */
function settle(slot, kind, number, text, more) {
  const occupant = slots[slot]
  if (occupant instanceof Call) {
    // News for the slot's previous occupant, which has ended, finds nobody.
    if (kind <= PART) occupant.settle(kind, number, text)
  } else if (kind > PART) {
    occupant?.news(kind, number, text, more)
  }
}

/** @type {Completions | undefined} */
let completions
let users = 0

/** The way back from the core, for as long as there is a client. */
function open() {
  completions ??= new Completions(() => completions?.drain(settle))
  users++
  return completions
}

/** Undoes one `open`. Without a client nothing holds on to this realm. */
function close() {
  users--
  if (users > 0) return
  completions?.close()
  completions = undefined
}

/** The answer as it is, for calls that answer with a number. @type {Read} */
const number = (_text, number) => number
/** Nothing, for calls that only end. @type {Read} */
const nothing = () => undefined

function noop() {}

module.exports = { Call, Failure, News, close, nothing, number, occupy, open, unwrap, vacate }
