'use strict'

const os = require('node:os')
const { NativeQueue } = require('../realm/native.js')
const { clientOf, isMadeHere } = require('../client/adopt.js')
const { ContextEmitter } = require('../realm/ContextEmitter.js')
const { databaseSettings, warnOfUnverified } = require('./database.js')
const { delay } = require('../realm/delay.js')
const { toLetter } = require('./deadLetter.js')
const { checkId, write } = require('../document/document.js')
const { ClosedError, InvalidStateError, RedisUnavailableError } = require('../realm/errors.js')
const { queueOptions, withDefaults } = require('../settings/options.js')
const { PATIENCE, healthOf } = require('../report/health.js')
const { shown } = require('../report/inspect.js')
const { RedisClient } = require('../client/RedisClient.js')
const { CallMeter } = require('../telemetry/CallMeter.js')
const { countCalls, traceCalls } = require('../telemetry/operations.js')
const { warnOfMemory } = require('../report/memory.js')
const { tellOnce } = require('../report/warnings.js')
const {
  Call,
  Calls,
  close,
  listen,
  nothing,
  number,
  open,
  unlisten,
  unwrap,
} = require('../realm/settle.js')
const { History } = require('./History.js')
const { troubles } = require('./queueHealth.js')
const { WorkerNews } = require('./WorkerNews.js')

/**
 * Where BullMQ has jobs, in the order in which they may move. Of those that are `active` a worker is
 * working on the locked ones; the others are of a worker that was killed. First those, under a name of
 * ours, that an adoption in a cluster was moving when it was cut off.
 */
const BULLMQ_PLACES = ['synckairos', 'failed', 'delayed', 'prioritized', 'wait', 'paused', 'active']

const NO_DATABASE =
  'the queue has neither a worker nor a database: pass databaseUrl, or set DATABASE_URL'

/** The methods that are counted and traced. */
const METHODS = Object.freeze([
  'queueWrite',
  'getMetrics',
  'getFailed',
  'retryFailed',
  'removeFailed',
  'adoptBullMQ',
  'migrate',
])

/** How often `drained` looks, ms. */
const LOOK = 50

/** The public documentation is in `state/DBWriteQueue.d.ts`. */
class DBWriteQueue extends ContextEmitter {
  #options
  #news
  #client
  /** Whether the client was made here, and ends with the queue. */
  #ownsClient
  #native
  #listener
  #completions = open()
  #working
  #calls
  #meter = new CallMeter(METHODS)
  /** What time it is for the dates of records. */
  #now
  /** @type {Promise<void> | undefined} */
  #closing
  #forced = false
  #ended = false
  #leaveClient
  /** How often the client had reconnected when this queue was made. */
  #reconnectsBefore
  #hasDatabase
  #history = new History((question) => this.#ask(question))

  /**
   * @param {unknown} redis
   * @param {any} [options]
   */
  constructor(redis, options) {
    super({ captureRejections: true })
    let settings
    try {
      this.#options = queueOptions(options)
      settings = databaseSettings(this.#options, process.env)
      this.#client = clientOf('redis', redis)()
      this.#ownsClient = isMadeHere(redis)
    } catch (error) {
      close()
      throw error
    }
    this.#hasDatabase = this.#options.worker || settings.isNamed
    const client = RedisClient.native(this.#client)
    this.#news = new WorkerNews(this, this.#options.logger, {
      queueName: this.#options.queueName,
      server: client.server,
      attributes: () => RedisClient.attributes(this.#client),
      kind: settings.kind,
      database: settings.identity,
      isClosing: () => this.#closing !== undefined,
    })
    this.#calls = new Calls(client, this.#options)
    this.#now = RedisClient.clock(this.#client)
    this.#reconnectsBefore = RedisClient.reconnects(this.#client)
    this.#listener = listen(this.#news)
    const {
      logger,
      databaseUrl: _url,
      ssl: _ssl,
      poolMin: _min,
      poolMax: _max,
      ...queue
    } = this.#options
    try {
      this.#native = new NativeQueue(
        this.#completions,
        client,
        this.#listener,
        JSON.stringify({
          ...queue,
          host: os.hostname(),
          pid: process.pid,
          database: settings.database,
        }),
      )
    } catch (error) {
      unlisten(this.#listener)
      if (this.#ownsClient) this.#client.disconnect()
      close()
      throw new InvalidStateError('ssl', /** @type {Error} */ (error).message)
    }
    if (settings.isUnverifiedByDefault) {
      warnOfUnverified(logger)
    }
    if (RedisClient.isMemory(this.#client)) warnOfMemory(logger)
    this.#working = this.#options.worker
    if (this.#working) this.#completions.hold() // A worker keeps the process alive.
    this.#leaveClient = RedisClient.dependOn(this.#client, {
      limited: (message) => tellOnce(logger, 'SYNCKAIROS_REDIS_LIMITED', message),
      hears: () => this.#news.isHeard,
      ending: () => void this.close(),
    })
    RedisClient.use(this.#client, this)
  }

  static {
    countCalls(DBWriteQueue.prototype, METHODS, (queue) => queue.#meter)
    traceCalls(DBWriteQueue.prototype, METHODS, (queue) => RedisClient.attributes(queue.#client))
  }

  /** @param {string} sessionId @param {any} state @param {string} eventType */
  async queueWrite(sessionId, state, eventType) {
    return this.#append(sessionId, state, eventType)
  }

  /**
   * @param {string} sessionId
   * @param {any} state
   * @param {string} eventType
   * @param {string} [metadata] JSON text of an object
   */
  async #append(sessionId, state, eventType, metadata) {
    checkId(sessionId)
    if (typeof eventType !== 'string' || eventType === '') {
      throw new InvalidStateError('eventType', 'it is not a string, or empty', sessionId)
    }
    const text = state === null ? null : write(state, true, sessionId)
    const call = this.#call(nothing, sessionId, text?.length)
    this.#native.enqueue(call.slot, sessionId, text, eventType, metadata, this.#now())
    return unwrap(await call.promise)
  }

  async getMetrics() {
    return await this.#phases()
  }

  /** How many records are in each phase. */
  async #phases() {
    const call = this.#call(json)
    this.#native.metrics(call.slot)
    return unwrap(await call.promise)
  }

  async metrics() {
    const survey = await this.#survey(this.#options.commandTimeoutMs)
    const { lastStoredAtMs, storedAgoMs: _, ...records } = survey
    const reconnects = RedisClient.reconnects(this.#client) - this.#reconnectsBefore
    return {
      ...this.#meter.read(),
      ...records,
      lastStoredAt: lastStoredAtMs === null ? null : new Date(lastStoredAtMs),
      reconnects: reconnects + this.#news.reconnects,
    }
  }

  async health() {
    if (this.#closing) return healthOf([new ClosedError().message])
    const { queueName } = this.#options
    const queue = `${RedisClient.native(this.#client).server}: audit queue ${queueName}`
    const found = await this.#survey(PATIENCE).then(
      (survey) => troubles(queue, survey),
      (error) => [error.message],
    )
    return healthOf([...found, ...this.#news.troubles])
  }

  /** How the records and the workers of all instances are doing. @param {number} withinMs */
  async #survey(withinMs) {
    const call = this.#call(json)
    this.#native.survey(call.slot, withinMs)
    return unwrap(await call.promise)
  }

  /** @param {{ offset?: number, limit?: number }} [page] */
  async getFailed(page) {
    const { offset, limit } = withDefaults({ offset: 0, limit: 50 }, page)
    for (const [name, value] of Object.entries({ offset, limit })) {
      const max = name === 'limit' ? 1000 : 1_000_000
      if (!Number.isInteger(value) || value < 0 || value > max) {
        throw new InvalidStateError(name, `it is not an integer from 0 to ${max}`)
      }
    }
    const found = []
    let skip = offset
    /** @type {string | null} */
    let place = '+'
    while (place !== null && found.length < limit) {
      const call = this.#call(json)
      this.#native.deadLetters(call.slot, place, skip, limit - found.length)
      const [letters, left, next] = unwrap(await call.promise)
      found.push(...letters.map(toLetter))
      skip = left
      place = next
    }
    return found
  }

  /** @param {readonly string[]} [ids] */
  async retryFailed(ids) {
    const list = ids === undefined ? null : JSON.stringify(checkIds(ids))
    let total = 0
    /** @type {string | null} */
    let place = ''
    while (place !== null) {
      const call = this.#call(json)
      this.#native.revive(call.slot, list, place)
      const [moved, more] = unwrap(await call.promise)
      total += moved
      place = list === null ? more : null
    }
    return total
  }

  /** @param {readonly string[]} ids */
  async removeFailed(ids) {
    const list = JSON.stringify(checkIds(ids))
    const call = this.#call(number)
    this.#native.remove(call.slot, list)
    return unwrap(await call.promise)
  }

  /** @param {{ queueName?: string, prefix?: string }} [from] */
  async adoptBullMQ(from) {
    const defaults = { queueName: this.#options.queueName, prefix: 'bull' }
    const { queueName, prefix } = withDefaults(defaults, from)
    for (const [name, value] of Object.entries({ queueName, prefix })) {
      if (typeof value === 'string' && value !== '') continue
      throw new InvalidStateError(name, 'it is not a string, or empty')
    }
    let adopted = 0
    /** @type {Set<string>} */
    let skipped
    let before
    // While others add jobs, retry or promote them: until nothing is found any more.
    do {
      before = adopted
      skipped = new Set()
      for (const place of BULLMQ_PLACES) {
        let skip = 0
        for (let more = true; more; ) {
          const call = this.#call(json)
          this.#native.adoptJobs(call.slot, prefix, queueName, place, skip)
          const [taken, ids, locked, rest] = unwrap(await call.promise)
          adopted += taken
          for (const id of ids) skipped.add(id)
          skip += ids.length + locked
          more = rest
        }
      }
    } while (adopted > before)
    return { adopted, skipped: [...skipped] }
  }

  async migrate() {
    const call = this.#call(nothing)
    this.#native.migrate(call.slot)
    return unwrap(await call.promise)
  }

  /** @param {string} sessionId @param {unknown} [page] */
  async history(sessionId, page) {
    return this.#history.events(sessionId, page)
  }

  /** @param {string} sessionId @param {unknown} when */
  async stateAt(sessionId, when) {
    return this.#history.stateAt(sessionId, when)
  }

  async databaseStatus() {
    const call = this.#databaseCall()
    this.#native.databaseStatus(call.slot)
    const { nowMs, ...status } = unwrap(await call.promise)
    return { ...status, now: new Date(nowMs) }
  }

  /** @param {object} question as `src/audit/sink/history.rs` reads it */
  async #ask(question) {
    const call = this.#databaseCall()
    this.#native.ask(call.slot, JSON.stringify(question))
    return unwrap(await call.promise)
  }

  #databaseCall() {
    if (!this.#hasDatabase) throw new InvalidStateError('databaseUrl', NO_DATABASE)
    return this.#call(json)
  }

  async drained() {
    for (;;) {
      try {
        const call = this.#call(json)
        this.#native.unsettled(call.slot)
        if (unwrap(await call.promise) === 0) return
      } catch (error) {
        if (!(error instanceof RedisUnavailableError)) throw error
      }
      await delay(LOOK)
    }
  }

  close(force = false) {
    if (this.#closing === undefined || (force && !this.#forced && !this.#ended)) {
      const first = this.#closing === undefined
      this.#forced = force
      const call = new Call(this.#calls, nothing)
      this.#calls.sendSoon()
      this.#native.close(call.slot, force)
      this.#closing = first ? call.promise.then(() => this.#end()) : this.#closing
    }
    return this.#closing
  }

  [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() {
    return this.close()
  }

  /** @param {import('../report/inspect.js').Inspection} inspection */
  [Symbol.for('nodejs.util.inspect.custom')](...inspection) {
    const { queueName, worker } = this.#options
    const status = this.#ended
      ? 'closed'
      : this.#closing
        ? 'closing'
        : RedisClient.shownStatus(this.#client)
    const { inFlight } = this.#calls
    const { server } = RedisClient.native(this.#client)
    const fields = { server, queueName, worker, status, inFlight }
    return shown(this, fields, inspection)
  }

  async #end() {
    this.#ended = true
    this.#news.end()
    this.#leaveClient()
    if (this.#working) this.#completions.release()
    unlisten(this.#listener)
    close()
    await RedisClient.leave(this.#client, this, this.#ownsClient)
  }

  /** The core's queue, for the manager. @param {DBWriteQueue} queue */
  static native(queue) {
    return queue.#native
  }

  /** What the database has, for the manager. @param {DBWriteQueue} queue */
  static history(queue) {
    return queue.#history
  }

  /**
   * Queues the record of a manager's change.
   *
   * @param {DBWriteQueue} queue
   * @param {string} sessionId
   * @param {any} state
   * @param {string} eventType
   * @param {string} [metadata] JSON text of an object
   */
  static append(queue, sessionId, state, eventType, metadata) {
    return queue.#append(sessionId, state, eventType, metadata)
  }

  /** @param {any} queue */
  static maxBacklog(queue) {
    return /** @type {number} */ (queue.#options.maxBacklog)
  }

  // Each of Node's ways to add or remove a listener ends in one of these.

  /** @param {string | symbol} name @param {(...args: any[]) => void} listener */
  on(name, listener) {
    return super.on(name, listener).#hear()
  }

  /** @param {string | symbol} name @param {(...args: any[]) => void} listener */
  addListener(name, listener) {
    return super.addListener(name, listener).#hear()
  }

  /** @param {string | symbol} name @param {(...args: any[]) => void} listener */
  prependListener(name, listener) {
    return super.prependListener(name, listener).#hear()
  }

  /** @param {string | symbol} name @param {(...args: any[]) => void} listener */
  off(name, listener) {
    return super.off(name, listener).#hear()
  }

  /** @param {string | symbol} name @param {(...args: any[]) => void} listener */
  removeListener(name, listener) {
    return super.removeListener(name, listener).#hear()
  }

  /** @param {string | symbol} [name] */
  removeAllListeners(name) {
    return super.removeAllListeners(...(name === undefined ? [] : [name])).#hear()
  }

  /** Tells the core which events it has to tell. */
  #hear() {
    this.#native.hear(this.#news.costly)
    return this
  }

  /**
   * @param {import('../realm/settle.js').Read} read
   * @param {string} [sessionId]
   * @param {number} [bytes] the length of the JSON text that is sent
   */
  #call(read, sessionId, bytes) {
    if (this.#closing) throw new ClosedError(sessionId)
    return this.#calls.call(read, sessionId, bytes)
  }

  /** A listener's promise rejects. @param {unknown} err */
  [Symbol.for('nodejs.rejection')](err) {
    this.#news.listenerFailed(err)
  }
}

/** @param {string | null} text */
function json(text) {
  return JSON.parse(/** @type {string} */ (text))
}

/** @param {unknown} ids */
function checkIds(ids) {
  if (!Array.isArray(ids) || !ids.every((id) => typeof id === 'string')) {
    throw new InvalidStateError('ids', 'it is no array of strings')
  }
  return ids
}

module.exports = { DBWriteQueue }
