'use strict'

const { types } = require('node:util')
const { now } = require('../realm/clock.js')
const { copyOf } = require('../document/copy.js')
const { RedisReplyError } = require('../realm/errors.js')
const { RedisClient } = require('../client/RedisClient.js')
const { Calls, Failure } = require('../realm/settle.js')
const { unheard, warnOnce } = require('../report/warnings.js')

/** How long after it was asked for a proof holds that all news of changes have come, ms. */
const LEASE = 4000
/** From when on, ms, a read asks for the next. */
const RENEWAL = 2000

const REFUSED = 'Redis does not tell of changes (CLIENT TRACKING): sessions are not cached'

/**
 * The states that were read last, for as long as Redis does not tell that they have changed.
 *
 * A read makes an entry when it is called and fills it when it is answered, if that very entry is
 * still there: whatever may have changed the session meanwhile has removed it. Why that leaves
 * nothing stale is in `docs/design.md`, "The near cache".
 */
class NearCache {
  /** How many reads it has answered, and how many not. */
  hits = 0
  misses = 0
  /** By session id, the one whose use is longest ago first. @type {Map<string, Entry>} */
  #entries = new Map()
  #client
  #calls
  #options
  /** Whether Redis tells of changes, on the connection that there is. */
  #tracked = false
  /** When the latest proof of that was asked for that has come. */
  #provenAt = Number.NEGATIVE_INFINITY
  #proving = false
  #refused = false
  #warned = false
  #leaveClient

  /**
   * @param {InstanceType<typeof RedisClient>} client
   * @param {{ maxSessions: number, keyPrefix: string, ttlSeconds: number, commandTimeoutMs: number, logger: import('../../config/logger.js').Logger }} options
   */
  constructor(client, options) {
    this.#client = RedisClient.native(client)
    this.#calls = new Calls(this.#client, { maxInFlight: 1, maxInFlightBytes: 1 })
    this.#options = options
    this.#leaveClient = RedisClient.dependOn(client, {
      invalidated: (key) => this.#invalidate(key),
      lost: () => this.#empty(),
      ended: () => this.#empty(),
    })
  }

  /** Keeps nothing any more. */
  end() {
    this.#leaveClient()
    this.#empty()
  }

  /**
   * A state of the caller's own, or undefined: ask Redis.
   *
   * @param {string} sessionId
   */
  get(sessionId) {
    const entry = this.#valid(sessionId)
    return entry === undefined ? undefined : copyOf(entry.state)
  }

  /**
   * What makes such states, all of the same, or undefined.
   *
   * @param {string} sessionId
   */
  reader(sessionId) {
    const state = this.#valid(sessionId)?.state
    return state === undefined ? undefined : () => copyOf(state)
  }

  /** @param {string} sessionId */
  #valid(sessionId) {
    const entry = this.#entries.get(sessionId)
    const time = now()
    if (!(entry?.state !== undefined && time < entry.until && time < this.#provenAt + LEASE)) {
      this.misses++
      return undefined
    }
    this.hits++
    this.#prove(time)
    this.#entries.delete(sessionId)
    this.#entries.set(sessionId, entry)
    return entry
  }

  /** Keeps what this call will answer. To be called before it is handed to the core. @param {Call} call */
  keep(call) {
    this.#prove(now())
    if (this.#refused) return
    const sessionId = /** @type {string} */ (call.sessionId)
    const entry = this.#entries.get(sessionId) ?? this.#add(sessionId)
    const read = call.read
    call.read = (text, dates) => {
      const state = read(text, dates, call)
      if (this.#entries.get(sessionId) === entry) this.#fill(sessionId, entry, state)
      return state
    }
  }

  /**
   * Keeps nothing that was read before this write has ended.
   *
   * @param {Call} write
   */
  forget(write) {
    const sessionId = /** @type {string} */ (write.sessionId)
    this.#entries.delete(sessionId)
    // Before the caller hears of it, who awaits it later.
    write.promise.then(() => this.#entries.delete(sessionId))
  }

  /** @param {string} sessionId @returns {Entry} */
  #add(sessionId) {
    const entry = { state: undefined, until: 0 }
    this.#entries.set(sessionId, entry)
    if (this.#entries.size > this.#options.maxSessions) {
      this.#entries.delete(/** @type {string} */ (this.#entries.keys().next().value))
    }
    return entry
  }

  /**
   * @param {string} sessionId
   * @param {Entry} entry
   * @param {any} state what the caller gets
   */
  #fill(sessionId, entry, state) {
    const isState = this.#tracked && state !== null && !(state instanceof Failure)
    const left = isState ? this.#lifeLeft(state) : 0
    entry.state = left > 0 ? copyOf(state) : undefined
    entry.until = now() + left
    if (entry.state === undefined) this.#entries.delete(sessionId)
  }

  /**
   * How long Redis will have this state yet, ms. It says so itself only when it comes across an
   * expired key.
   *
   * @param {{ updated_at?: unknown }} state
   */
  #lifeLeft({ updated_at }) {
    const age = types.isDate(updated_at) ? Date.now() - updated_at.getTime() : 0
    return this.#options.ttlSeconds * 1000 - Math.max(age, 0)
  }

  /**
   * Asks Redis, if it is time, to tell of changes. The answer proves that it does, and that all it
   * has told before has come.
   *
   * @param {number} time
   */
  #prove(time) {
    if (this.#proving || this.#refused || time < this.#provenAt + RENEWAL) return
    this.#proving = true
    const call = this.#calls.call(() => {
      this.#tracked = true
      this.#provenAt = time
    })
    this.#client.track(call.slot, this.#options.commandTimeoutMs)
    call.promise.then((outcome) => {
      this.#proving = false
      if (outcome instanceof Failure) this.#unproven(outcome.toError())
    })
  }

  /** @param {Error} err */
  #unproven(err) {
    if (!(err instanceof RedisReplyError)) return // The next read tries again.
    this.#empty()
    this.#refused = true // By this server: another may be found after it.
    if (this.#warned) return
    this.#warned = true
    const { logger } = this.#options
    if (logger !== unheard) return logger.warn({ err }, REFUSED)
    warnOnce('SYNCKAIROS_NOT_CACHED', `${this.#client.server}: ${REFUSED}`)
  }

  /** @param {string | null} key null: any may have changed, and those read from now on are not tracked yet */
  #invalidate(key) {
    const { keyPrefix } = this.#options
    if (key === null) this.#empty()
    else if (key.startsWith(keyPrefix)) this.#entries.delete(key.slice(keyPrefix.length))
  }

  /** What is told from now on is told to another connection. */
  #empty() {
    this.#entries.clear()
    this.#tracked = false
    this.#provenAt = Number.NEGATIVE_INFINITY
    this.#refused = false
  }
}

/** @typedef {InstanceType<typeof import('../realm/settle.js').Call>} Call */

/**
 * @typedef {object} Entry
 * @property {any} state undefined until it is read
 * @property {number} until when it has expired in Redis
 */

module.exports = { NearCache }
