'use strict'

const { Buffer } = require('node:buffer')
const { FastPath } = require('./FastPath.js')
const { RedisClient } = require('./RedisClient.js')

/** The longest document that is carried: whatever it is made of, it fits in what is sent at once. */
const LONGEST = 16_384

/** The longest session id. */
const LONGEST_ID = 512

/**
 * Which calls of a manager the fast path carries, and what becomes of those that it leaves.
 *
 * @typedef {InstanceType<typeof import('./settle.js').Call>} Call
 */
class Carrier {
  #client
  #store
  #calls
  #keyPrefix
  /** Whether there is time to repeat what the fast path has lost. */
  #isTimely
  /** The sessions with writes on the other way, and how many. @type {Map<string, number>} */
  #others = new Map()

  /**
   * @param {InstanceType<typeof RedisClient>} client
   * @param {import('../native.js').NativeStore} store
   * @param {InstanceType<typeof import('./settle.js').Calls>} calls
   * @param {{ keyPrefix: string, commandTimeoutMs: number }} options
   */
  constructor(client, store, calls, { keyPrefix, commandTimeoutMs }) {
    this.#client = client
    this.#store = store
    this.#calls = calls
    this.#keyPrefix = keyPrefix
    this.#isTimely = commandTimeoutMs >= FastPath.LEAST_TIMEOUT_MS
  }

  /**
   * The fast path, where a call may take it. It would overtake a write of its session that is on
   * the other way.
   *
   * @param {string} sessionId
   */
  pathFor(sessionId) {
    if (!this.#isTimely || (this.#others.size > 0 && this.#others.has(sessionId))) return undefined
    const path = RedisClient.fastPath(this.#client)
    if (path === undefined || !path.isReady()) return undefined
    // What is no id is refused by the core.
    const isId = sessionId !== '' && sessionId.length <= LONGEST_ID
    return isId && isAscii(this.#keyPrefix + sessionId) ? path : undefined
  }

  /** @param {InstanceType<typeof FastPath>} path @param {Call} call */
  get(path, call) {
    path.get(this.#keyPrefix + call.sessionId, call, this.#caller)
  }

  /**
   * @param {InstanceType<typeof FastPath>} path
   * @param {Call} call
   * @param {string} document
   * @param {import('./document.js').Stamp} stamp
   */
  update(path, call, document, { version, now }) {
    const sessionId = /** @type {string} */ (call.sessionId)
    const put = (/** @type {Buffer} */ out, /** @type {number} */ at) =>
      this.#store.carryUpdate(out, at, sessionId, document, version, now)
    if (document.length <= LONGEST && path.write(put, call, this.#caller)) return
    this.#store.update(call.slot, sessionId, document, version - 1, now)
    this.#calls.sendSoon()
    this.alone(sessionId, call.promise)
  }

  /**
   * Keeps a session from the fast path for as long as a write of it is on the other way.
   *
   * @template T
   * @param {string} sessionId
   * @param {Promise<T>} written
   */
  async alone(sessionId, written) {
    this.#others.set(sessionId, (this.#others.get(sessionId) ?? 0) + 1)
    const outcome = await written
    const left = /** @type {number} */ (this.#others.get(sessionId)) - 1
    if (left > 0) this.#others.set(sessionId, left)
    else this.#others.delete(sessionId)
    return outcome
  }

  /** @type {import('./FastPath.js').Caller} */
  #caller = {
    readOtherwise: ({ slot, sessionId }, waitedMs) => {
      this.#store.get(slot, /** @type {string} */ (sessionId), waitedMs)
      this.#calls.sendSoon()
    },
    landed: () => this.#store.landed(),
    refused: ({ slot }, reply) => {
      const isFit = this.#store.replied(slot, reply)
      this.#calls.sendSoon()
      return isFit
    },
    writeOtherwise: ({ slot, sessionId, promise }) => {
      this.#store.lost(slot)
      this.#calls.sendSoon()
      this.alone(/** @type {string} */ (sessionId), promise)
    },
  }
}

/** @param {string} text */
function isAscii(text) {
  return Buffer.byteLength(text) === text.length
}

module.exports = { Carrier }
