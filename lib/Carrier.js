'use strict'

const { Buffer } = require('node:buffer')
const { RedisClient } = require('./RedisClient.js')
const { isAscii } = require('./resp.js')

/** The longest document that is carried, bytes: those behind it wait for it. */
const LONGEST = 65_536

/** The most characters that are read together, for the same reason. */
const MOST_TOGETHER = 262_144

/** The longest session id. */
const LONGEST_ID = 512

/**
 * Which calls of a manager the fast path carries. The others go through the core.
 *
 * @typedef {InstanceType<typeof import('./settle.js').Call>} Call
 * @typedef {InstanceType<typeof import('./FastPath.js').FastPath>} FastPath
 */
class Carrier {
  #client
  #otherWay
  #keyPrefix
  #wsChannelPrefix
  /** Whether what is made of the key prefix is as long in bytes as in characters. */
  #isPlain
  #longest
  /** @type {typeof import('./carried.js') | undefined} */
  #kinds
  /** @type {InstanceType<typeof import('./carried.js').Reads> | undefined} */
  #reads
  /** What all updates have in common, once there was one. @type {InstanceType<typeof import('./UpdateForm.js').UpdateForm> | undefined} */
  #form
  /** How much time a call has. */
  #timeoutMs
  /** How long a document was, on average, of those that were read together last, characters. */
  averageLength = 1024

  /**
   * @param {InstanceType<typeof RedisClient>} client
   * @param {InstanceType<typeof import('./OtherWay.js').OtherWay>} otherWay
   * @param {{ keyPrefix: string, wsChannelPrefix: string, commandTimeoutMs: number, maxStateBytes: number }} options
   */
  constructor(client, otherWay, { keyPrefix, wsChannelPrefix, commandTimeoutMs, maxStateBytes }) {
    this.#client = client
    this.#otherWay = otherWay
    this.#keyPrefix = keyPrefix
    this.#wsChannelPrefix = wsChannelPrefix
    this.#isPlain = isAscii(keyPrefix)
    this.#longest = Math.min(LONGEST, maxStateBytes)
    this.#timeoutMs = commandTimeoutMs
  }

  /**
   * The fast path, where a call may take it.
   *
   * @param {string} sessionId
   */
  pathFor(sessionId) {
    return this.#isFor(sessionId) ? this.#path() : undefined
  }

  /**
   * The same for a call about several. Where others wait for the JavaScript thread, it is better for
   * all that the core reads what is much.
   *
   * @param {string[]} sessionIds
   */
  pathForAll(sessionIds) {
    if (sessionIds.length === 0) return undefined
    if (sessionIds.length * this.averageLength > MOST_TOGETHER) return undefined
    const path = this.#path()
    return path?.isIdle && sessionIds.every((id) => this.#isFor(id)) ? path : undefined
  }

  #path() {
    const path = RedisClient.fastPath(this.#client)
    return path?.isReady(this.#timeoutMs) ? path : undefined
  }

  /** @param {string} sessionId */
  #isFor(sessionId) {
    if (!this.#isPlain || this.#otherWay.has(sessionId)) return false
    // What is no id is refused by the core.
    return sessionId !== '' && sessionId.length <= LONGEST_ID && isAscii(sessionId)
  }

  /** @param {FastPath} path @param {Call} call */
  get(path, call) {
    this.#reads ??= new (this.#carried().Reads)(this.#otherWay, this.#keyPrefix)
    path.carry(call, this.#reads)
  }

  /** @param {FastPath} path @param {Call} call @param {string[]} sessionIds */
  getMany(path, call, sessionIds) {
    const { ReadMany } = this.#carried()
    path.carry(call, new ReadMany(this.#otherWay, this.#keyPrefix, sessionIds))
  }

  /**
   * @param {FastPath} path
   * @param {Call} call
   * @param {string} document
   * @param {import('./document.js').Stamp} stamp
   */
  update(path, call, document, { version, now }) {
    const sessionId = /** @type {string} */ (call.sessionId)
    const { store } = this.#otherWay
    const form = this.#updateForm()
    const isShort = Buffer.byteLength(document) <= this.#longest
    // What is too much is refused by the core.
    if (form === undefined || !isShort || !Number.isSafeInteger(version)) {
      store.update(call.slot, sessionId, document, version - 1, now)
      this.#otherWay.sendSoon()
      this.#otherWay.keep(sessionId, call.promise)
      return
    }
    const recordId = form.isAudited ? store.recordId(now) : ''
    const { Update } = this.#carried()
    const asCalled = { sessionId, document, version, now, recordId }
    path.carry(call, new Update(this.#otherWay, form, asCalled))
  }

  /**
   * @param {FastPath} path
   * @param {Call} call
   * @param {string} message JSON
   * @param {number} now
   */
  broadcast(path, call, message, now) {
    const { Broadcast } = this.#carried()
    const channel = this.#wsChannelPrefix + call.sessionId
    path.carry(call, new Broadcast(this.#otherWay, channel, message, now))
  }

  /** Not before it is needed: to load it takes time. */
  #carried() {
    this.#kinds ??= require('./carried.js')
    return this.#kinds
  }

  /** Made when it is needed: until then an audit may have been added. */
  #updateForm() {
    if (this.#form === undefined) {
      const text = this.#otherWay.store.updateForm()
      // Of what is written the length is known in characters.
      if (isAscii(text)) {
        const { UpdateForm } = require('./UpdateForm.js') // As late as the fast path itself.
        this.#form = new UpdateForm(this.#keyPrefix, text)
      }
    }
    return this.#form
  }
}

module.exports = { Carrier }
