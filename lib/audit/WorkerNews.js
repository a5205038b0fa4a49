'use strict'

const { DatabaseError, RedisUnavailableError, StateError } = require('../realm/errors.js')
const { connection, deadLetter, publish } = require('../telemetry/channels.js')
const { outageBegan, outageEnded, outageLeft } = require('../report/outages.js')
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

/** The names of the databases, by kind. */
const DATABASES = Object.freeze({ POSTGRESQL: 'PostgreSQL', SQLITE: 'SQLite' })

const LISTENER_FAILED = 'a listener of the queue failed'

const WORKER_FAILED =
  'the audit worker failed by an internal error, and tries again; please report it'

/** @typedef {import('../../state/DBWriteQueue.js').AuditRecord} AuditRecord */

/**
 * @typedef {object} Queue
 * @property {string} queueName
 * @property {string} server Redis, as errors name it
 * @property {() => import('../../state/tracing.js').ServerAttributes} attributes Redis, as traces name it
 * @property {'POSTGRESQL' | 'SQLITE'} kind of the database
 * @property {string} database what tells databases apart; not shown
 * @property {() => boolean} isClosing
 */

/**
 * Passes on what a queue's worker tells: to the queue's listeners, to its logger, and to the process
 * where neither hears of an outage.
 */
class WorkerNews {
  /** How often the worker has lost Redis and found it again. */
  reconnects = 0
  /** Why the worker has no Redis, and why the database stores nothing. @type {string | undefined} */
  #lost
  /** @type {string | undefined} */
  #outage
  #emitter
  #logger
  #queue

  /**
   * @param {import('node:events').EventEmitter} emitter
   * @param {Required<import('../..').Logger>} logger
   * @param {Queue} queue
   */
  constructor(emitter, logger, queue) {
    this.#emitter = emitter
    this.#logger = logger
    this.#queue = queue
  }

  /** The events that the core has to tell, as bits: some cost it something for every record. */
  get costly() {
    let events = 0
    for (const [name, event] of Object.entries(COSTLY)) {
      if (this.#emitter.listenerCount(name) > 0) events |= 1 << event
    }
    return events
  }

  /** Why the worker stores nothing. */
  get troubles() {
    return [this.#lost, this.#outage].filter((trouble) => trouble !== undefined)
  }

  /** Whether anybody is told of an outage; who is closing needs no server. */
  get isHeard() {
    return (
      this.#queue.isClosing() ||
      this.#logger !== unheard ||
      this.#emitter.listenerCount('error') > 0
    )
  }

  /**
   * @param {number} _kind
   * @param {number} event
   * @param {string | null} text
   * @param {string | null} more
   */
  news(_kind, event, text, more) {
    const logger = this.#logger
    const { server, kind, database, queueName } = this.#queue
    const { [kind]: name } = DATABASES
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
        const [record] = /** @type {[AuditRecord]} */ (toRecords(text))
        publish(deadLetter, () => letterOf(queueName, record, error?.sqlstate))
        logger.error({ err: error, ...record }, 'an audit record went to the dead letters')
        this.#emitEach('failed', text, error)
        break
      }
      case OUTAGE:
        this.#outage = `${name} is unavailable, audit records wait: ${error?.message}`
        logger.warn({ err: error }, `${name} is unavailable; audit records wait`)
        if (!this.isHeard) {
          outageBegan(kind, database, this, `${error?.message}; audit records wait`)
        }
        this.#emitError(error)
        break
      case RECOVERED:
        this.#outage = undefined
        logger.info({}, `${name} is available again; audit records are stored`)
        outageEnded(kind, database, this, `${name} is available again`)
        break
      case LOST: {
        const err = new RedisUnavailableError(/** @type {string} */ (text))
        this.#lost = `The audit worker has no Redis: ${text}`
        publish(connection, () => this.#connection('lost', text))
        logger.warn({ err }, 'the audit worker has no Redis; reconnecting')
        this.#emitError(err)
        break
      }
      case UNREACHABLE:
        if (!this.isHeard) {
          const { message } = new RedisUnavailableError(/** @type {string} */ (text))
          outageBegan('REDIS', server, this, `${message}; reconnecting`)
        }
        break
      case RECONNECTED:
        this.#lost = undefined
        this.reconnects++
        publish(connection, () => this.#connection('ready', null))
        logger.info({}, 'the audit worker has Redis again')
        outageEnded('REDIS', server, this, `Redis is available again: ${server}`)
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
        else logger.error({ queueName }, message)
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

  /** @param {'ready' | 'lost'} state @param {string | null} reason */
  #connection(state, reason) {
    return { connection: 'worker', attributes: this.#queue.attributes(), state, reason }
  }

  /** The queue needs no server any more. */
  end() {
    outageLeft(this.#queue.kind, this.#queue.database, this)
    outageLeft('REDIS', this.#queue.server, this)
  }

  /** A listener's promise rejects, or it throws: the others still get their news. @param {unknown} err */
  listenerFailed(err) {
    this.#logger.error({ err }, LISTENER_FAILED)
  }

  /** Unlike other emitters', this one needs no listener. @param {Error | undefined} error */
  #emitError(error) {
    if (this.#emitter.listenerCount('error') > 0) this.#emit('error', error)
  }

  /** @param {string} name @param {string | null} text @param {Error} [error] */
  #emitEach(name, text, error) {
    if (this.#emitter.listenerCount(name) === 0) return
    for (const record of toRecords(text)) {
      if (error) this.#emit(name, record, error)
      else this.#emit(name, record)
    }
  }

  /** @param {any[]} args */
  #emit(...args) {
    try {
      this.#emitter.emit(.../** @type {[string, ...unknown[]]} */ (args))
    } catch (err) {
      this.listenerFailed(err)
    }
  }
}

/** @param {string} text */
function toError(text) {
  const { message, sqlstate } = JSON.parse(text)
  return new DatabaseError(message, sqlstate)
}

/**
 * A record that the database refused, without the session's id: what a database says of it may hold more.
 *
 * @param {string} queueName
 * @param {AuditRecord} record
 * @param {string | null} [sqlstate]
 * @returns {import('../../state/tracing.js').DeadLetterMessage}
 */
function letterOf(queueName, { id, eventType, attempt }, sqlstate = null) {
  return { queueName, id, eventType, attempt, sqlstate }
}

/** @param {string | null} text @returns {AuditRecord[]} */
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

module.exports = { WorkerNews }
