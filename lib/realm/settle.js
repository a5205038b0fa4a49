'use strict'

const { detached } = require('./context.js')
const { Delivery } = require('./Delivery.js')
const { OverloadedError } = require('./errors.js')
const { fromWire } = require('./wire.js')

// The kinds of `src/node/completions.rs`. 0 and 1 end a call with its answer.
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
  AUDIT: 11,
  INVALIDATED: 12,
  ELAPSED: 13,
  MESSAGE: 14,
  REFUSED: 15,
  EXPIRY: 16,
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

/** What waits for a microtask waits for this: a test can replace `queueMicrotask`. */
const resolved = Promise.resolve()

/** The calls in flight of one owner, on one client. */
class Calls {
  inFlight = 0
  bytesInFlight = 0
  #client
  #max
  #maxBytes
  #unsent = false

  /**
   * @param {{ flush(): void, server: string }} client the core's
   * @param {{ maxInFlight: number, maxInFlightBytes: number }} limits
   */
  constructor(client, { maxInFlight, maxInFlightBytes }) {
    this.#client = client
    this.#max = maxInFlight
    this.#maxBytes = maxInFlightBytes
  }

  /**
   * One more call, if there may be one more, to be handed to the core at once. A call that is larger
   * than the limit goes alone.
   *
   * @param {Read} read
   * @param {string} [sessionId]
   * @param {number} [bytes] the size of what is sent
   */
  call(read, sessionId, bytes = 0) {
    this.#checkRoom(sessionId, bytes)
    const call = new Call(this, read, sessionId, bytes)
    this.sendSoon()
    return call
  }

  /**
   * Counts a call while it waits to be made, if there may be one more.
   *
   * @template T
   * @param {string} sessionId
   * @param {() => Promise<T>} wait
   */
  async waiting(sessionId, wait) {
    this.#checkRoom(sessionId)
    this.inFlight++
    try {
      return await wait()
    } finally {
      this.inFlight--
    }
  }

  /** @param {string} [sessionId] @param {number} [bytes] */
  #checkRoom(sessionId, bytes = 0) {
    if (this.inFlight >= this.#max) {
      throw this.#overloaded(`${this.#max} calls`, 'maxInFlight', sessionId)
    }
    if (this.bytesInFlight > 0 && this.bytesInFlight + bytes > this.#maxBytes) {
      const calls = `calls of ${this.bytesInFlight} bytes`
      throw this.#overloaded(calls, 'maxInFlightBytes', sessionId)
    }
  }

  /**
   * The server's name comes from the core: asked for at each call, it would cost half a microsecond.
   *
   * @param {string} calls
   * @param {string} option
   * @param {string} [sessionId]
   */
  #overloaded(calls, option, sessionId) {
    return OverloadedError.full(this.#client.server, calls, option, sessionId)
  }

  /** Resolves when what is in flight now has ended. */
  async settled() {
    const mine = slots.filter((call) => call?.owner === this)
    await Promise.all(mine.map((call) => call?.promise))
  }

  /** What is handed to the core in one go is sent in one go, after it. */
  sendSoon() {
    if (this.#unsent) return
    this.#unsent = true
    resolved.then(() => {
      this.#unsent = false
      this.#client.flush()
    })
  }
}

/** A promise that waits in a slot. */
class Call {
  /**
   * @param {Calls} owner
   * @param {Read} read
   * @param {string} [sessionId]
   * @param {number} [bytes]
   */
  constructor(owner, read, sessionId, bytes = 0) {
    this.owner = owner
    this.read = read
    this.sessionId = sessionId
    this.bytes = bytes
    /** @type {[string | null, number][] | undefined} */
    this.parts = undefined
    /** @type {(outcome: any) => void} */
    this.resolve = noop
    /** @type {Promise<any>} */
    this.promise = new Promise((resolve) => {
      this.resolve = resolve
    })
    this.slot = vacant.pop() ?? slots.length
    slots[this.slot] = this
    owner.inFlight++
    owner.bytesInFlight += bytes
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
    slots[this.slot] = undefined
    vacant.push(this.slot)
    this.owner.inFlight--
    this.owner.bytesInFlight -= this.bytes
    this.resolve(this.#outcome(kind, number, text))
    close()
  }

  /**
   * @param {number} kind
   * @param {number} number
   * @param {string | null} text
   */
  #outcome(kind, number, text) {
    if (kind === FAILED) {
      return new Failure(() => fromWire(/** @type {string} */ (text), this.sessionId))
    }
    try {
      return this.read(text, number, this)
    } catch (error) {
      return new Failure(() => /** @type {Error} */ (error))
    }
  }
}

/**
 * Who hears of what is no answer: a client's status, a feed's messages.
 *
 * @typedef {object} Listener
 * @property {(kind: number, number: number, text: any, more: string | null) => void} news
 */

/** @type {(Call | undefined)[]} */
const slots = []
/** @type {number[]} */
const vacant = []

/** @type {Map<number, Listener>} */
const listeners = new Map()
let lastListener = 0

/** The number by which the core names a listener. Never given twice: its news may come late. */
function listen(/** @type {Listener} */ listener) {
  listeners.set(++lastListener, listener)
  return lastListener
}

/** @param {number} number */
function unlisten(number) {
  listeners.delete(number)
}

/**
 * @param {number} slot of a call, or a listener's number
 * @param {number} kind
 * @param {number} number
 * @param {string | null} text
 * @param {string | null} more
 */
function settle(slot, kind, number, text, more) {
  if (kind > PART) listeners.get(slot)?.news(kind, number, text, more)
  else slots[slot]?.settle(kind, number, text)
}

/** @type {InstanceType<typeof Delivery> | undefined} */
let delivery
let users = 0

/** The way back from the core, for as long as there is a client. */
function open() {
  // Detached, or the async context of the first caller would live as long, and be that of all.
  delivery ??= detached(() => new Delivery(settle))
  users++
  return delivery.completions
}

/** Undoes one `open`. Without a client nothing holds on to this realm. */
function close() {
  users--
  if (users > 0) return
  delivery?.close()
  delivery = undefined
}

/** The answer as it is, for calls that answer with a number. @type {Read} */
const number = (_text, number) => number
/** Nothing, for calls that only end. @type {Read} */
const nothing = () => undefined

function noop() {}

module.exports = {
  Call,
  Calls,
  Failure,
  News,
  close,
  listen,
  nothing,
  number,
  open,
  unlisten,
  unwrap,
}
