'use strict'

const { NativeQueue } = require('../realm/native.js')
const { clientOf, isMadeHere } = require('../client/adopt.js')
const { ContextEmitter } = require('../realm/ContextEmitter.js')
const { databaseSettings, warnOfUnverified } = require('./database.js')
const { delay } = require('../realm/delay.js')
const { checkId, write, stored } = require('../document/document.js')
const {
  ClosedError,
  DatabaseError,
  InvalidStateError,
  RedisUnavailableError,
  StateError,
} = require('../realm/errors.js')
const { queueOptions, withDefaults } = require('../settings/options.js')
const { shown } = require('../report/inspect.js')
const { outageBegan, outageEnded, outageLeft } = require('../report/outages.js')
const { RedisClient } = require('../client/RedisClient.js')
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
const { unheard, warn } = require('../report/warnings.js')

// The numbers of `src/node/queue.rs`.
const ACTIVE = 0
const COMPLETED = 1
const FAILED = 2
const RETRYING = 3
const OUTAGE = 4
const DRAINED = 5
const LOST = 6
const WARNING = 7
const UNREACHABLE = 8
const RECONNECTED = 9
const RECOVERED = 10
const RECORDS_LOST = 11
const OTHER_DATABASE = 12
const CRASHED = 13

/** The events that cost something for every record, and are told only to those who listen. */
const COSTLY = Object.freeze({
  active: ACTIVE,
  completed: COMPLETED,
  retrying: RETRYING,
  drained: DRAINED,
})

const LISTENER_FAILED = 'a listener of the queue failed'

/**
 * Where BullMQ has jobs, in the order in which they may move. Of those that are `active` a worker is
 * working on the locked ones; the others are of a worker that was killed.
 */
const BULLMQ_PLACES = ['failed', 'delayed', 'prioritized', 'wait', 'paused', 'active']

const WORKER_FAILED =
  'the audit worker failed by an internal error, and tries again; please report it'

/** How often `drained` looks, ms. */
const LOOK = 50

/** The public documentation is in `state/DBWriteQueue.d.ts`. */
class DBWriteQueue extends ContextEmitter {
  #options
  /** What tells databases apart. */
  #database
  #client
  /** Whether the client was made here, and ends with the queue. */
  #ownsClient
  #native
  #listener
  #completions = open()
  #working
  #calls
  /** @type {Promise<void> | undefined} */
  #closing
  #forced = false
  #ended = false
  #leaveClient

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
    const { hosts, login } = settings.database
    this.#database = JSON.stringify([hosts, login.user, login.database])
    const client = RedisClient.native(this.#client)
    this.#calls = new Calls(client, this.#options)
    this.#listener = listen(this)
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
        JSON.stringify({ ...queue, database: settings.database }),
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
    this.#working = this.#options.worker
    if (this.#working) this.#completions.hold() // A worker keeps the process alive.
    this.#leaveClient = RedisClient.dependOn(this.#client, {
      hears: () => this.#isHeard(),
      ending: () => void this.close(),
    })
    RedisClient.use(this.#client, this)
  }

  /** @param {string} sessionId @param {any} state @param {string} eventType */
  async queueWrite(sessionId, state, eventType) {
    checkId(sessionId)
    if (typeof eventType !== 'string' || eventType === '') {
      throw new InvalidStateError('eventType', 'it is not a string, or empty', sessionId)
    }
    const text = state === null ? null : write(state, true, sessionId)
    const call = this.#call(nothing, sessionId, text?.length)
    this.#native.enqueue(call.slot, sessionId, text, eventType, Date.now())
    return unwrap(await call.promise)
  }

  async getMetrics() {
    const call = this.#call(json)
    this.#native.metrics(call.slot)
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

  async drained() {
    for (;;) {
      try {
        const { waiting, active, delayed } = await this.getMetrics()
        if (waiting + active + delayed === 0) return
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
    const status = this.#ended ? 'closed' : this.#closing ? 'closing' : this.#client.status
    const { inFlight } = this.#calls
    const fields = { server: this.#server, queueName, worker, status, inFlight }
    return shown(this, fields, inspection)
  }

  async #end() {
    this.#ended = true
    outageLeft('POSTGRESQL', this.#database, this)
    outageLeft('REDIS', this.#server, this)
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
    let events = 0
    for (const [name, event] of Object.entries(COSTLY)) {
      if (this.listenerCount(name) > 0) events |= 1 << event
    }
    this.#native.hear(events)
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

  /**
   * @param {number} _kind
   * @param {number} event
   * @param {string | null} text
   * @param {string | null} more
   */
  news(_kind, event, text, more) {
    const { logger } = this.#options
    const error = more === null ? undefined : toError(more)
    switch (event) {
      case ACTIVE:
        this.#emitEach('active', text)
        break
      case COMPLETED:
        this.#emitEach('completed', text)
        break
      case RETRYING:
        this.#emitEach('retrying', text, error)
        break
      case FAILED: {
        const [record] = toRecords(text)
        logger.error({ err: error, ...record }, 'an audit record went to the dead letters')
        this.#emitEach('failed', text, error)
        break
      }
      case OUTAGE:
        logger.warn({ err: error }, 'PostgreSQL is unavailable; audit records wait')
        if (!this.#isHeard()) {
          outageBegan('POSTGRESQL', this.#database, this, `${error?.message}; audit records wait`)
        }
        this.#emitError(error)
        break
      case RECOVERED:
        logger.info({}, 'PostgreSQL is available again; audit records are stored')
        outageEnded('POSTGRESQL', this.#database, this, 'PostgreSQL is available again')
        break
      case LOST: {
        const err = new RedisUnavailableError(/** @type {string} */ (text))
        logger.warn({ err }, 'the audit worker has no Redis; reconnecting')
        this.#emitError(err)
        break
      }
      case UNREACHABLE:
        if (!this.#isHeard()) {
          const { message } = new RedisUnavailableError(/** @type {string} */ (text))
          outageBegan('REDIS', this.#server, this, `${message}; reconnecting`)
        }
        break
      case RECONNECTED:
        logger.info({}, 'the audit worker has Redis again')
        outageEnded('REDIS', this.#server, this, `Redis is available again: ${this.#server}`)
        break
      case DRAINED:
        this.#emit('drained')
        break
      case WARNING:
        logger.warn({}, /** @type {string} */ (text))
        break
      case RECORDS_LOST: {
        const err = new StateError(/** @type {string} */ (text), 'AUDIT_RECORDS_LOST')
        logger.error({ err }, err.message)
        this.#emitError(err)
        break
      }
      case OTHER_DATABASE: {
        const message = /** @type {string} */ (text)
        if (logger === unheard) warn('SYNCKAIROS_OTHER_DATABASE', message)
        else logger.error({ queueName: this.#options.queueName }, message)
        break
      }
      case CRASHED: {
        const err = new StateError(WORKER_FAILED, 'INTERNAL_ERROR')
        logger.error({ err }, err.message)
        this.#emitError(err)
        break
      }
    }
  }

  /** Whether anybody is told of an outage; who is closing needs no server. */
  #isHeard() {
    return (
      this.#closing !== undefined ||
      this.#options.logger !== unheard ||
      this.listenerCount('error') > 0
    )
  }

  get #server() {
    return RedisClient.native(this.#client).server
  }

  /** Unlike other emitters', this one needs no listener. @param {Error | undefined} error */
  #emitError(error) {
    if (this.listenerCount('error') > 0) this.#emit('error', error)
  }

  /** @param {string} name @param {string | null} text @param {Error} [error] */
  #emitEach(name, text, error) {
    if (this.listenerCount(name) === 0) return
    for (const record of toRecords(text)) {
      if (error) this.#emit(name, record, error)
      else this.#emit(name, record)
    }
  }

  /** One whose promise rejects, neither. @param {unknown} err */
  [Symbol.for('nodejs.rejection')](err) {
    this.#options.logger.error({ err }, LISTENER_FAILED)
  }

  /** A listener that throws must not cost the others their news. @param {any[]} args */
  #emit(...args) {
    try {
      this.emit(.../** @type {[string, ...unknown[]]} */ (args))
    } catch (err) {
      this.#options.logger.error({ err }, LISTENER_FAILED)
    }
  }
}

/** @param {string | null} text */
function json(text) {
  return JSON.parse(/** @type {string} */ (text))
}

/** @param {string} text */
function toError(text) {
  const { message, sqlstate } = JSON.parse(text)
  return new DatabaseError(message, sqlstate)
}

/** @param {string | null} text @returns {import('../../state/DBWriteQueue.js').AuditRecord[]} */
function toRecords(text) {
  return JSON.parse(/** @type {string} */ (text)).map(
    (/** @type {[string, string, string, number]} */ [id, sessionId, eventType, attempt]) => ({
      id,
      sessionId,
      eventType,
      attempt,
    }),
  )
}

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

/** @param {unknown} ids */
function checkIds(ids) {
  if (!Array.isArray(ids) || !ids.every((id) => typeof id === 'string')) {
    throw new InvalidStateError('ids', 'it is no array of strings')
  }
  return ids
}

module.exports = { DBWriteQueue }
