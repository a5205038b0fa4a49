'use strict'

const { Buffer } = require('node:buffer')
const { RedisClient } = require('./RedisClient.js')

/** The longest document that is carried, bytes: those behind it wait for it. */
const LONGEST = 65_536

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
  /** Whether what is made of the key prefix is as long in bytes as in characters. */
  #isPlain
  #longest
  /** What all updates have in common, once there was one. @type {InstanceType<typeof import('./UpdateForm.js').UpdateForm> | undefined} */
  #form
  /** How much time a call has. */
  #timeoutMs
  /** The sessions with writes on the other way, and how many. @type {Map<string, number>} */
  #others = new Map()

  /**
   * @param {InstanceType<typeof RedisClient>} client
   * @param {import('../native.js').NativeStore} store
   * @param {InstanceType<typeof import('./settle.js').Calls>} calls
   * @param {{ keyPrefix: string, commandTimeoutMs: number, maxStateBytes: number }} options
   */
  constructor(client, store, calls, { keyPrefix, commandTimeoutMs, maxStateBytes }) {
    this.#client = client
    this.#store = store
    this.#calls = calls
    this.#keyPrefix = keyPrefix
    this.#isPlain = isAscii(keyPrefix)
    this.#longest = Math.min(LONGEST, maxStateBytes)
    this.#timeoutMs = commandTimeoutMs
  }

  /**
   * The fast path, where a call may take it. It would overtake a write of its session that is on
   * the other way.
   *
   * @param {string} sessionId
   */
  pathFor(sessionId) {
    if (!this.#isPlain || (this.#others.size > 0 && this.#others.has(sessionId))) return undefined
    const path = RedisClient.fastPath(this.#client)
    if (path === undefined || !path.isReady(this.#timeoutMs)) return undefined
    // What is no id is refused by the core.
    const isId = sessionId !== '' && sessionId.length <= LONGEST_ID
    return isId && isAscii(sessionId) ? path : undefined
  }

  /** @param {InstanceType<typeof import('./FastPath.js').FastPath>} path @param {Call} call */
  get(path, call) {
    path.read(call, this.#caller)
  }

  /**
   * @param {InstanceType<typeof import('./FastPath.js').FastPath>} path
   * @param {Call} call
   * @param {string} document
   * @param {import('./document.js').Stamp} stamp
   */
  update(path, call, document, { version, now }) {
    const sessionId = /** @type {string} */ (call.sessionId)
    const form = this.#updateForm()
    const isShort = Buffer.byteLength(document) <= this.#longest
    // What is too much is refused by the core.
    if (form === undefined || !isShort || !Number.isSafeInteger(version)) {
      this.#store.update(call.slot, sessionId, document, version - 1, now)
      this.#calls.sendSoon()
      this.alone(sessionId, call.promise)
      return
    }
    const recordId = form.isAudited ? this.#store.recordId(now) : ''
    path.write({ sessionId, document, version, now, recordId }, call, this.#caller)
  }

  /** Made when it is needed: until then an audit may have been added. */
  #updateForm() {
    if (this.#form === undefined) {
      const text = this.#store.updateForm()
      // Of what is written the length is known in characters.
      if (isAscii(text)) {
        const { UpdateForm } = require('./UpdateForm.js') // As late as the fast path itself.
        this.#form = new UpdateForm(this.#keyPrefix, text)
      }
    }
    return this.#form
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
    key: ({ sessionId }) => this.#keyPrefix + sessionId,
    readOtherwise: ({ slot, sessionId }, waitedMs) => {
      this.#store.get(slot, /** @type {string} */ (sessionId), waitedMs)
      this.#calls.sendSoon()
    },
    command: (update, noted, renews) =>
      /** @type {InstanceType<typeof import('./UpdateForm.js').UpdateForm>} */ (this.#form).command(
        update,
        noted,
        renews,
      ),
    refused: ({ slot, promise }, update, waitedMs, reply) => {
      const isFit = this.#store.replied(slot, ...asCalled(update), waitedMs, reply)
      this.#calls.sendSoon()
      this.alone(update.sessionId, promise) // The core may send it again.
      return isFit
    },
    writeOtherwise: ({ slot, promise }, update, waitedMs, sent) => {
      this.#store.takeOver(slot, ...asCalled(update), waitedMs, sent && JSON.stringify(sent))
      this.#calls.sendSoon()
      this.alone(update.sessionId, promise)
    },
  }
}

/**
 * An update as the core takes it.
 *
 * @param {import('./UpdateForm.js').Update} update
 * @returns {[string, string, number, number, string]}
 */
function asCalled({ sessionId, document, version, now, recordId }) {
  return [sessionId, document, version, now, recordId]
}

/** @param {string} text */
function isAscii(text) {
  return Buffer.byteLength(text) === text.length
}

module.exports = { Carrier }
