'use strict'

const { NativeStore } = require('../realm/native.js')
const { clientOf, isMadeHere, keyPrefixOf } = require('../client/adopt.js')
const { DBWriteQueue } = require('../audit/DBWriteQueue.js')
const { now } = require('../realm/clock.js')
const { after } = require('../realm/delay.js')
const { CallMeter } = require('../telemetry/CallMeter.js')
const { checkId, read, stored, write } = require('../document/document.js')
const { ParsedStates } = require('../document/ParsedStates.js')
const {
  BacklogFullError,
  ClosedError,
  ConcurrencyError,
  InvalidStateError,
  SessionNotFoundError,
} = require('../realm/errors.js')
const { Expiry } = require('./Expiry.js')
const { Feed } = require('./Feed.js')
const { PATIENCE, healthOf } = require('../report/health.js')
const { shown } = require('../report/inspect.js')
const { Method } = require('./Method.js')
const { NearCache } = require('./NearCache.js')
const { managerOptions, withDefaults } = require('../settings/options.js')
const { RedisClient } = require('../client/RedisClient.js')
const { traceCalls } = require('../telemetry/operations.js')
const { warnOfMemory } = require('../report/memory.js')
const { modify } = require('./modify.js')
const { earlierState, restoreLost, restoring } = require('./restore.js')
const { withReason } = require('./reason.js')
const { Turns } = require('./Turns.js')
const { fromWire } = require('../realm/wire.js')
const { Calls, Failure, close, nothing, number, open, unwrap } = require('../realm/settle.js')
const { tellOnce, unheard } = require('../report/warnings.js')

/** How long what is in flight may take while a manager closes, ms. */
const GOODBYE = 1000

/** In place of an expected version: any is taken. The core takes numbers only. */
const NO_VERSION = -1

/** What a restored state may replace: whatever is stored. */
const ANYTHING = -1

const CHANGE = Object.freeze({ reason: undefined })
const CREATE = Object.freeze({ ...CHANGE, ifAbsent: /** @type {boolean} */ (false) })
const MODIFY = Object.freeze({ ...CHANGE, retries: /** @type {number | undefined} */ (undefined) })
const LOST_TURN =
  'a call of modifySession takes so long that other callers for this session do not wait for it any more: Redis is slow, or its callback is, or its callback modifies the same session'
const NOT_QUEUED = 'the audit record was not queued'
const NOT_TOLD = 'Redis refuses to tell of expired sessions (announceExpiry)'
const ANOTHER_PLACE =
  'by their URLs, the queue is on another Redis or memory: store than the sessions: a record is queued after its change, and a crash in between loses it'

/** The public documentation is in `state/RedisStateManager.d.ts`. */
class RedisStateManager {
  #options
  #redis
  #pubSub
  #queue
  #store
  #feed
  /** @type {InstanceType<typeof NearCache> | undefined} */
  #cache
  /** @type {InstanceType<typeof Expiry> | undefined} */
  #expiry
  /** What makes a state of a stored document. @type {typeof read} */
  #parse = read
  /** What becomes of the answer to a read. @type {import('../realm/settle.js').Read} */
  #readOne = (text, dates, call) =>
    text === null ? null : this.#parse(text, dates, /** @type {string} */ (call.sessionId))
  /** Whether the core appends the audit's records, in the scripts that make the changes. */
  #audited = false
  #calls
  #meter = new CallMeter(Object.keys(Method))
  #conflicts = 0
  /** How often `modifySession` has tried again. */
  #retries = 0
  /** What time it is for the dates of states. */
  #now
  #turns
  /** The session whose callback of `modifySession` is being called. @type {string | undefined} */
  #modifying
  /** Closed, or its client was by the client's owner. */
  #ended = false
  /** @type {Promise<void> | undefined} */
  #closing
  /** @type {(() => void) | undefined} */
  #leaveRedis
  #hasLetGo = false
  /** How often the client had reconnected when this manager was made. */
  #reconnectsBefore

  /**
   * @param {unknown} redis
   * @param {unknown} [pubSub]
   * @param {unknown} [dbQueue]
   * @param {unknown} [options]
   */
  constructor(redis, pubSub, dbQueue, options) {
    // Validate everything before opening resources.
    this.#options = managerOptions(options)
    this.#queue = toQueue(dbQueue)
    const makeRedis = clientOf('redis', redis)
    const makePubSub = pubSub == null ? () => this.#redis.duplicate() : clientOf('pubSub', pubSub)
    this.#redis = makeRedis()
    try {
      this.#pubSub = makePubSub()
    } catch (error) {
      if (isMadeHere(redis)) this.#redis.disconnect()
      throw error
    }
    const keyPrefix = keyPrefixOf(this.#redis) + this.#options.keyPrefix
    const { updatesChannel, wsChannelPrefix } = this.#options
    const { ttlSeconds, announceExpiry, commandTimeoutMs, maxStateBytes, replicas, logger } =
      this.#options
    const client = RedisClient.native(this.#redis)
    this.#calls = new Calls(client, this.#options)
    this.#now = RedisClient.clock(this.#redis)
    this.#reconnectsBefore = RedisClient.reconnects(this.#redis)
    this.#turns = new Turns(commandTimeoutMs, (sessionId, turnMs) =>
      logger.warn({ sessionId, turnMs }, LOST_TURN),
    )
    this.#store = new NativeStore(
      open(),
      client,
      keyPrefix,
      updatesChannel,
      wsChannelPrefix,
      ttlSeconds,
      announceExpiry,
      commandTimeoutMs,
      maxStateBytes,
      replicas?.count ?? 0,
      replicas?.timeoutMs ?? 0,
    )
    if (this.#queue instanceof DBWriteQueue) {
      this.#audited = this.#store.auditTo(DBWriteQueue.native(this.#queue))
      if (!this.#audited) logger.warn({}, ANOTHER_PLACE)
    }
    if (announceExpiry) {
      this.#expiry = new Expiry(this.#redis, this.#store, {
        refused: (err) => logger.error({ err }, NOT_TOLD),
        unaudited: (count) => this.#expiredUnaudited(count),
      })
    }
    this.#feed = new Feed(this.#pubSub, { ...this.#options, keyPrefix })
    const { cache } = this.#options
    const isMemory = RedisClient.isMemory(this.#redis)
    if (isMemory) {
      warnOfMemory(logger)
      const parsed = new ParsedStates()
      this.#parse = (text, dates, sessionId) => parsed.read(text, dates, sessionId)
    } else if (cache)
      this.#cache = new NearCache(this.#redis, { ...this.#options, ...cache, keyPrefix })
    for (const one of [this.#redis, this.#pubSub]) RedisClient.use(one, this)
    this.#leaveRedis = RedisClient.dependOn(this.#redis, {
      away: (err) => logger.warn({ err }, 'Redis is unavailable; reconnecting'),
      limited: (message) => tellOnce(logger, 'SYNCKAIROS_REDIS_LIMITED', message),
      back: () => logger.info({}, 'Redis is available again'),
      hears: () => logger !== unheard,
      ending: () => {
        this.#ended = true
        this.#turns.close()
      },
      ended: () => this.#letGo(),
    })
  }

  static {
    traceCalls(RedisStateManager.prototype, Object.keys(Method), (manager) =>
      RedisClient.attributes(manager.#redis),
    )
  }

  /** @param {string} sessionId */
  async getSession(sessionId) {
    const began = now()
    try {
      const known = this.#ended ? undefined : this.#cache?.get(sessionId)
      if (known !== undefined) return this.#meter.ok(Method.getSession, began, known, now())
      const call = this.#call(this.#readOne, checkId(sessionId))
      this.#cache?.keep(call)
      this.#store.get(call.slot, sessionId)
      return this.#meter.ok(Method.getSession, began, unwrap(await call.promise))
    } catch (error) {
      throw this.#meter.failed(Method.getSession, began, error)
    }
  }

  /**
   * @param {readonly string[]} sessionIds
   * @param {{ onCorrupt?: (error: Error) => void }} [options]
   */
  async getSessions(sessionIds, options) {
    const began = now()
    try {
      const { onCorrupt } = withDefaults({ onCorrupt: thrown }, options)
      if (typeof onCorrupt !== 'function') {
        throw new InvalidStateError('onCorrupt', 'it is not a function')
      }
      if (!Array.isArray(sessionIds)) throw new InvalidStateError('session_id', 'no array of ids')
      const ids = sessionIds.map(checkId)
      const { maxInFlight } = this.#options
      if (ids.length > maxInFlight) {
        throw new InvalidStateError('session_id', `more than ${maxInFlight} at once (maxInFlight)`)
      }
      const states = await this.#readMany(ids)
      const found = states.map((state) => {
        if (!(state instanceof Failure)) return state
        onCorrupt(state.toError())
        return null
      })
      return this.#meter.ok(Method.getSessions, began, found)
    } catch (error) {
      throw this.#meter.failed(Method.getSessions, began, error)
    }
  }

  /**
   * The states; a `Failure` in the place of what is no session.
   *
   * @param {string[]} ids
   * @returns {Promise<any[]>}
   */
  async #readMany(ids) {
    const call = this.#call(readAll(ids))
    this.#store.getMany(call.slot, JSON.stringify(ids))
    return unwrap(await call.promise)
  }

  /** @param {any} state @param {unknown} [options] */
  async createSession(state, options) {
    const began = now()
    try {
      const { ifAbsent, reason } = withReason(CREATE, options, state?.session_id)
      const text = write(state, this.#options.validate)
      const sessionId = checkId(state.session_id)
      const time = this.#now()
      const call = this.#call(number, sessionId, text.length)
      this.#cache?.forget(call)
      this.#explain(reason)
      this.#store.create(call.slot, sessionId, text, ifAbsent === true, time)
      const answer = unwrap(await call.promise)
      const event = reason?.event ?? 'session_created'
      const version = this.#written(answer, sessionId, event)
      if (this.#queue && !this.#audited) {
        const set = { version, created_at: new Date(time), updated_at: new Date(time) }
        this.#audit(sessionId, stored(text, set), event, reason)
      }
      this.#meter.ok(Method.createSession, began, undefined)
    } catch (error) {
      throw this.#meter.failed(Method.createSession, began, error)
    }
  }

  /**
   * @param {string} sessionId
   * @param {any} state
   * @param {number} [expectedVersion]
   * @param {unknown} [options]
   */
  async updateSession(sessionId, state, expectedVersion, options) {
    const began = now()
    try {
      if (
        expectedVersion !== undefined &&
        !(Number.isSafeInteger(expectedVersion) && expectedVersion > 0)
      ) {
        throw new InvalidStateError('expectedVersion', 'it is not a positive integer', sessionId)
      }
      const { reason } = withReason(CHANGE, options, sessionId)
      const update = this.#update(sessionId, state, expectedVersion, reason)
      this.#updated(sessionId, update, await update.call.promise)
      this.#meter.ok(Method.updateSession, began, undefined)
    } catch (error) {
      throw this.#meter.failed(Method.updateSession, began, error)
    }
  }

  /**
   * Begins an update. Not `async`: a promise of its own would cost every update.
   *
   * @param {string} sessionId
   * @param {any} state
   * @param {number | undefined} expectedVersion
   * @param {import('./reason.js').Reason} [reason]
   * @param {number} [withinMs] in place of `commandTimeoutMs`
   */
  #update(sessionId, state, expectedVersion, reason, withinMs) {
    checkId(sessionId)
    const time = this.#now()
    const text = write(state, this.#options.validate, sessionId)
    const call = this.#call(number, sessionId, text.length)
    this.#cache?.forget(call)
    const version = expectedVersion ?? NO_VERSION
    this.#explain(reason)
    if (withinMs === undefined) this.#store.update(call.slot, sessionId, text, version, time)
    else this.#store.updateWithin(call.slot, sessionId, text, version, time, withinMs)
    return { call, text, time, reason }
  }

  /**
   * Ends an update by its outcome. Returns what makes the state that is stored now.
   *
   * @param {string} sessionId
   * @param {{ text: string, time: number, reason: import('./reason.js').Reason | undefined }} update
   * @param {any} outcome the version that was written, or a failure
   */
  #updated(sessionId, { text, time, reason }, outcome) {
    if (outcome instanceof Failure) throw this.#refused(outcome.toError())
    const event = reason?.event ?? 'session_updated'
    const version = this.#written(outcome, sessionId, event)
    const state = () => stored(text, { version, updated_at: new Date(time) })
    if (this.#queue && !this.#audited) this.#audit(sessionId, state(), event, reason)
    return state
  }

  /** Counts the conflicts among the errors of updates. @param {Error} error */
  #refused(error) {
    if (error instanceof ConcurrencyError) this.#conflicts++
    return error
  }

  /** Tells the core the reason of the change that is called next. @param {import('./reason.js').Reason} [reason] */
  #explain(reason) {
    if (reason !== undefined) this.#store.because(reason.event, reason.metadata)
  }

  /**
   * @param {string} sessionId
   * @param {(state: any) => any} fn
   * @param {unknown} [options]
   */
  async modifySession(sessionId, fn, options) {
    const began = now()
    let end
    try {
      checkId(sessionId)
      const { retries, reason } = withReason(MODIFY, options, sessionId)
      if (typeof fn !== 'function')
        throw new InvalidStateError('fn', 'it is not a function', sessionId)
      if (retries !== undefined && !(Number.isSafeInteger(retries) && retries >= 0)) {
        throw new InvalidStateError('retries', 'it is not a non-negative integer', sessionId)
      }
      // A callback that modifies its own session would wait for its own turn.
      if (this.#modifying !== sessionId) {
        const wait = () => this.#turns.wait(sessionId)
        end = this.#turns.take(sessionId) ?? (await this.#calls.waiting(sessionId, wait))
      }
      const deadline = began + this.#options.commandTimeoutMs
      const state = await this.#modify(sessionId, fn, { retries, reason }, deadline)
      return this.#meter.ok(Method.modifySession, began, state, now())
    } catch (error) {
      throw this.#meter.failed(Method.modifySession, began, error)
    } finally {
      end?.()
    }
  }

  /**
   * @param {string} sessionId
   * @param {(state: any) => any} fn
   * @param {{ retries: number | undefined, reason: import('./reason.js').Reason | undefined }} options
   * @param {number} deadline
   */
  #modify(sessionId, fn, { retries, reason }, deadline) {
    const session = {
      read: (/** @type {number} */ withinMs) => this.#read(sessionId, withinMs),
      change: (/** @type {any} */ state) => this.#callBack(sessionId, fn, state),
      write: async (
        /** @type {any} */ next,
        /** @type {number} */ version,
        /** @type {number} */ withinMs,
      ) => {
        const update = this.#update(sessionId, next, version, reason, withinMs)
        return this.#updated(sessionId, update, await update.call.promise)()
      },
      again: () => void this.#retries++,
    }
    return modify(session, retries, deadline, this.#options.commandTimeoutMs)
  }

  /** @param {string} sessionId @param {(state: any) => any} fn @param {any} state */
  #callBack(sessionId, fn, state) {
    const outer = this.#modifying
    this.#modifying = sessionId
    try {
      return fn(state)
    } finally {
      this.#modifying = outer
    }
  }

  /**
   * A session, and what makes the same state again: a callback may change the one that it gets.
   *
   * @param {string} sessionId
   * @param {number} withinMs
   */
  async #read(sessionId, withinMs) {
    const known = this.#ended ? undefined : this.#cache?.reader(sessionId)
    if (known !== undefined) return { state: known(), copy: known }
    let copy = () => /** @type {any} */ (undefined)
    const call = this.#call((text, dates, call) => {
      copy = () => this.#readOne(text, dates, call)
      return copy()
    }, sessionId)
    this.#cache?.keep(call)
    this.#store.getWithin(call.slot, sessionId, withinMs)
    const state = unwrap(await call.promise)
    if (state === null) throw new SessionNotFoundError(sessionId)
    return { state, copy }
  }

  /** @param {string} sessionId @param {unknown} [options] */
  async deleteSession(sessionId, options) {
    const began = now()
    try {
      checkId(sessionId)
      const { reason } = withReason(CHANGE, options, sessionId)
      const call = this.#call(number, sessionId)
      this.#cache?.forget(call)
      this.#explain(reason)
      this.#store.delete(call.slot, sessionId, this.#now())
      const answer = unwrap(await call.promise)
      const event = reason?.event ?? 'session_deleted'
      this.#written(answer, sessionId, event)
      // Others' queues never heard of deletions, and expect a state.
      if (answer === 1 && this.#queue instanceof DBWriteQueue && !this.#audited) {
        this.#audit(sessionId, null, event, reason)
      }
      this.#meter.ok(Method.deleteSession, began, undefined)
    } catch (error) {
      throw this.#meter.failed(Method.deleteSession, began, error)
    }
  }

  /** @param {string} sessionId @param {unknown} [options] */
  async restoreSession(sessionId, options) {
    const { version, why } = restoring.one(checkId(sessionId), options)
    const { text, from, known } = await earlierState(this.#history(sessionId), sessionId, version)
    const update = this.#restore(sessionId, text, known.highest + 1, ANYTHING, why(from))
    return this.#updated(sessionId, update, unwrap(await update.call.promise))()
  }

  /** @param {unknown} options */
  async restoreSessions(options) {
    const { why, ...settings } = restoring.all(options)
    const { maxInFlight, logger } = this.#options
    const sessions = {
      read: (/** @type {string[]} */ ids) => this.#readMany(ids),
      write: async (
        /** @type {import('../audit/History.js').Known} */ { sessionId, version, highest },
        /** @type {string} */ text,
        /** @type {number | null} */ over,
      ) => {
        const update = this.#restore(sessionId, text, highest + 1, over, why(Number(version)))
        this.#updated(sessionId, update, unwrap(await update.call.promise))
      },
    }
    return restoreLost(sessions, this.#history(), { ...settings, maxInFlight, logger })
  }

  /**
   * Begins to write an earlier state again.
   *
   * @param {string} sessionId
   * @param {string} text
   * @param {number} least the least version to write
   * @param {number | null} over the version that may be stored; null where no session may be
   * @param {import('./reason.js').Reason} reason
   */
  #restore(sessionId, text, least, over, reason) {
    const time = this.#now()
    const call = this.#call(number, sessionId, text.length)
    this.#cache?.forget(call)
    this.#explain(reason)
    this.#store.restore(call.slot, sessionId, text, least, over, time)
    return { call, text, time, reason }
  }

  /** What the audit's database has. @param {string} [sessionId] */
  #history(sessionId) {
    if (this.#ended) throw new ClosedError(sessionId)
    if (this.#queue instanceof DBWriteQueue) return DBWriteQueue.history(this.#queue)
    const reason = 'the manager has no DBWriteQueue, whose database has the states to restore'
    throw new InvalidStateError('dbQueue', reason, sessionId)
  }

  /** @param {string} sessionId */
  async touchSession(sessionId) {
    const began = now()
    try {
      const call = this.#call(number, checkId(sessionId))
      this.#store.touch(call.slot, sessionId)
      return this.#meter.ok(Method.touchSession, began, unwrap(await call.promise) === 1)
    } catch (error) {
      throw this.#meter.failed(Method.touchSession, began, error)
    }
  }

  /** @param {string} sessionId @param {unknown} message */
  async broadcastToSession(sessionId, message) {
    const began = now()
    try {
      checkId(sessionId)
      let text
      try {
        text = JSON.stringify(message)
      } catch (cause) {
        throw new InvalidStateError('message', 'it cannot be written as JSON', sessionId, cause)
      }
      if (text === undefined) throw new InvalidStateError('message', 'it is undefined', sessionId)
      const time = this.#now()
      const call = this.#call(nothing, sessionId, text.length)
      this.#store.broadcast(call.slot, sessionId, text, time)
      return this.#meter.ok(Method.broadcastToSession, began, unwrap(await call.promise))
    } catch (error) {
      throw this.#meter.failed(Method.broadcastToSession, began, error)
    }
  }

  metrics() {
    const { messages, bytes } = this.#feed.behind
    return {
      ...this.#meter.read(),
      inFlight: this.#calls.inFlight,
      conflicts: this.#conflicts,
      retries: this.#retries,
      reconnects:
        RedisClient.reconnects(this.#redis) - this.#reconnectsBefore + this.#feed.reconnects,
      gaps: this.#feed.gaps,
      cacheHits: this.#cache?.hits ?? 0,
      cacheMisses: this.#cache?.misses ?? 0,
      callbacksBehind: messages,
      callbacksBehindBytes: bytes,
    }
  }

  async health() {
    if (this.#ended) return healthOf([new ClosedError().message])
    // Answers of Redis wait behind these messages: asking would take as long as they do.
    const { delay } = this.#feed
    if (delay !== null) return healthOf([delay])
    const [redis, feed] = await Promise.all([
      RedisClient.trouble(this.#redis, PATIENCE),
      this.#feed.troubles(PATIENCE),
    ])
    return healthOf(redis === null ? feed : [redis, ...feed])
  }

  /** @param {(sessionId: string, state: any) => void} callback */
  subscribeToUpdates(callback) {
    this.#checkSubscribable(callback)
    return this.#feed.onUpdate(callback)
  }

  /** @param {(sessionId: string, message: any) => void} callback */
  subscribeToWebSocket(callback) {
    this.#checkSubscribable(callback)
    return this.#feed.onWebSocket(callback)
  }

  async subscribed() {
    if (this.#ended) throw new ClosedError()
    await this.#feed.confirmed(this.#options.commandTimeoutMs)
  }

  close() {
    this.#ended = true
    this.#turns.close()
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close() {
    const ends = [this.#redis, this.#pubSub].map((one) => RedisClient.leave(one, this, true))
    const [redisEnds = this.#settled(), pubSubEnds] = ends
    if (pubSubEnds === undefined) this.#feed.end()
    await Promise.all([redisEnds, pubSubEnds])
    this.#letGo()
  }

  /** On a client that others go on using: until what is in flight has ended, a second at most. */
  async #settled() {
    /** @type {() => void} */
    let cancel = () => {}
    const late = new Promise((resolve) => {
      cancel = after(GOODBYE, () => resolve(undefined), { keepsAlive: true })
    })
    await Promise.race([this.#calls.settled(), late])
    cancel()
  }

  /** What this manager holds in the process. */
  #letGo() {
    if (this.#hasLetGo) return
    this.#hasLetGo = true
    this.#leaveRedis?.()
    this.#cache?.end()
    this.#expiry?.end()
    close()
  }

  [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() {
    return this.close()
  }

  /** @param {import('../report/inspect.js').Inspection} inspection */
  [Symbol.for('nodejs.util.inspect.custom')](...inspection) {
    const { server } = RedisClient.native(this.#redis)
    const { keyPrefix } = this.#options
    const status = this.#ended ? 'closed' : RedisClient.shownStatus(this.#redis)
    const fields = { server, keyPrefix, status, inFlight: this.#calls.inFlight }
    return shown(this, fields, inspection)
  }

  /**
   * @param {import('../realm/settle.js').Read} read
   * @param {string} [sessionId]
   * @param {number} [bytes] the length of the JSON text that is sent
   */
  #call(read, sessionId, bytes) {
    if (this.#ended) throw new ClosedError(sessionId)
    return this.#calls.call(read, sessionId, bytes)
  }

  /** @param {unknown} callback */
  #checkSubscribable(callback) {
    if (typeof callback !== 'function') {
      throw new InvalidStateError('callback', 'it is not a function')
    }
    if (this.#ended) throw new ClosedError()
  }

  /**
   * The version that was written. Negative, it says that the audit's backlog was full.
   *
   * @param {number} answer
   * @param {string} sessionId
   * @param {string} eventType
   */
  #written(answer, sessionId, eventType) {
    if (answer < 0) {
      const err = new BacklogFullError(DBWriteQueue.maxBacklog(this.#queue), sessionId)
      this.#options.logger.error({ err, sessionId, eventType }, NOT_QUEUED)
    }
    return Math.abs(answer)
  }

  /** The audit's backlog was full. @param {number} count how many expired sessions have no record */
  #expiredUnaudited(count) {
    const err = new BacklogFullError(DBWriteQueue.maxBacklog(this.#queue))
    this.#options.logger.error({ err, count, eventType: 'session_expired' }, NOT_QUEUED)
  }

  /**
   * Not awaited: the write has happened, whatever becomes of its record.
   *
   * @param {string} sessionId
   * @param {any} state
   * @param {string} eventType
   * @param {import('./reason.js').Reason} [reason]
   */
  #audit(sessionId, state, eventType, reason) {
    const report = (/** @type {unknown} */ err) =>
      this.#options.logger.error({ err, sessionId, eventType }, NOT_QUEUED)
    try {
      const [queue, metadata] = [this.#queue, reason?.metadata]
      const queued =
        metadata !== undefined && queue instanceof DBWriteQueue
          ? DBWriteQueue.append(queue, sessionId, state, eventType, metadata)
          : queue?.queueWrite(sessionId, state, eventType)
      Promise.resolve(queued).catch(report)
    } catch (err) {
      report(err)
    }
  }
}

/** The states; a `Failure` in the place of what is no session. @param {string[]} ids @returns {import('../realm/settle.js').Read} */
function readAll(ids) {
  return (_text, _number, { parts = [] }) =>
    parts.map(([text, dates], index) => {
      const id = /** @type {string} */ (ids[index])
      if (text === null) return null
      return dates < 0 ? new Failure(() => fromWire(text, id)) : read(text, dates, id)
    })
}

/** @param {Error} error */
function thrown(error) {
  throw error
}

/**
 * @param {any} value
 * @returns {import('../../state/RedisStateManager.js').WriteQueue | undefined}
 */
function toQueue(value) {
  if (value == null) return undefined
  if (typeof value.queueWrite === 'function') return value
  throw new InvalidStateError('dbQueue', 'it has no queueWrite()')
}

module.exports = { RedisStateManager }
