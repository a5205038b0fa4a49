'use strict'

const { randomUUID } = require('node:crypto')
const { DBWriteQueue } = require('../audit/DBWriteQueue.js')
const { MemoryStore } = require('../client/memoryUrl.js')
const { RedisClient } = require('../client/RedisClient.js')
const { checkId, stored } = require('../document/document.js')
const { ClosedError, InvalidStateError } = require('../realm/errors.js')
const { NativeTestStore } = require('../realm/native.js')
const { Calls, close, nothing, open, unwrap } = require('../realm/settle.js')
const { shown } = require('../report/inspect.js')
const { RedisStateManager } = require('../session/RedisStateManager.js')
const { checkInteger } = require('../settings/options.js')

/** The longest time that a test may ask for, ms: 24 days. */
const MAX_MS = 2 ** 31 - 1

/** Where records are stored if a test names no database. */
const DATABASE = 'sqlite::memory:'

/** An outage that lasts until it is ended. */
const UNTIL_ENDED = -1

const CALLS = Object.freeze({ maxInFlight: 1000, maxInFlightBytes: 1 })

/**
 * A store in this process for the tests of a service. The public documentation is in
 * `testing/index.d.ts`.
 */
class TestStore {
  /** Keeps the store there. */
  #client
  #native
  #calls
  /** How many gaps go on: subscriptions hear again after the last. */
  #gaps = 0
  /** What was made here and is closed with the store. @type {(() => unknown)[]} */
  #ends = []
  /** @type {Promise<void> | undefined} */
  #closing

  constructor() {
    const store = new MemoryStore(`test-${randomUUID()}`, { adjustable: true })
    this.url = `memory://${store.name}`
    this.#client = new RedisClient(store)
    const client = RedisClient.native(this.#client)
    this.#native = new NativeTestStore(open(), client)
    this.#calls = new Calls(client, CALLS)
    this.clock = new TestClock(this.#native, RedisClient.clock(this.#client))
  }

  client() {
    this.#checkOpen()
    const client = new RedisClient(this.url)
    this.#ends.push(() => client.quit())
    return client
  }

  /** @param {Record<string, unknown> & { queue?: unknown }} [options] */
  manager({ queue, ...options } = {}) {
    this.#checkOpen()
    const manager = new RedisStateManager(this.url, null, queue, options)
    this.#ends.push(() => manager.close())
    return manager
  }

  /** @param {{ worker?: boolean, databaseUrl?: string }} [options] */
  queue(options = {}) {
    this.#checkOpen()
    const { worker = true, databaseUrl } = options
    const database = databaseUrl === undefined ? { databaseUrl: DATABASE, migrate: worker } : {}
    const queue = new DBWriteQueue(this.url, { ...database, ...options })
    this.#ends.push(() => queue.close())
    return queue
  }

  /** @param {number} [ms] */
  outage(ms) {
    this.#checkOpen()
    if (ms !== undefined) checkInteger('ms', ms, 1, MAX_MS)
    this.#native.outage(ms ?? UNTIL_ENDED)
    return () => this.#native.endOutage()
  }

  /** @param {number} [times] */
  loseAnswers(times = 1) {
    this.#checkOpen()
    checkTimes(times)
    this.#native.loseAnswers(times)
  }

  /** @param {number} ms */
  delay(ms) {
    this.#checkOpen()
    checkInteger('ms', ms, 0, MAX_MS)
    this.#native.delay(ms)
  }

  /** @param {() => unknown} [during] */
  async gap(during = () => {}) {
    this.#checkOpen()
    if (this.#gaps++ === 0) this.#native.gapBegin()
    try {
      await during()
    } finally {
      if (--this.#gaps === 0) this.#native.gapEnd()
      await this.settled()
    }
  }

  /** @param {string} sessionId */
  conflict(sessionId) {
    this.#checkOpen()
    this.#native.conflict(checkId(sessionId))
  }

  /** @param {any} error @param {number} [times] */
  refuse(error, times = 1) {
    this.#checkOpen()
    const message = typeof error === 'object' ? error?.message : error
    if (typeof message !== 'string' || message === '') {
      throw new InvalidStateError('error', 'it is neither a message nor an error, or empty')
    }
    checkTimes(times)
    this.#native.refuse(message, times)
  }

  records() {
    this.#checkOpen()
    return JSON.parse(this.#native.records()).map(toRecord)
  }

  sessions() {
    this.#checkOpen()
    return JSON.parse(this.#native.sessions()).map((/** @type {string} */ text) => stored(text, {}))
  }

  async settled() {
    this.#checkOpen()
    const call = this.#calls.call(nothing)
    this.#native.settled(call.slot)
    return unwrap(await call.promise)
  }

  close() {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close() {
    await Promise.all(this.#ends.map((end) => end()))
    await this.#client.quit()
    close()
  }

  [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() {
    return this.close()
  }

  /** @param {import('../report/inspect.js').Inspection} inspection */
  [Symbol.for('nodejs.util.inspect.custom')](...inspection) {
    return shown(this, { url: this.url, status: this.#closing ? 'closed' : 'open' }, inspection)
  }

  #checkOpen() {
    if (this.#closing) throw new ClosedError()
  }
}

class TestClock {
  #native
  #now

  /** @param {InstanceType<typeof NativeTestStore>} native @param {() => number} now */
  constructor(native, now) {
    this.#native = native
    this.#now = now
  }

  /** @param {number} ms */
  advance(ms) {
    checkInteger('ms', ms, 0, MAX_MS)
    this.#native.advance(ms)
  }

  now() {
    return this.#now()
  }
}

/** @param {number} times */
function checkTimes(times) {
  checkInteger('times', times, 0, MAX_MS)
}

/** @param {any[]} record as `src/node/test_store.rs` writes it */
function toRecord([id, sessionId, eventType, atMs, text, status]) {
  const state = text === null ? null : stored(text, {})
  return { id, sessionId, eventType, state, at: new Date(atMs), status }
}

const createTestStore = () => new TestStore()

module.exports = { createTestStore }
