/**
 * The base class of all errors of this module.
 *
 * @example
 * try {
 *   await manager.updateSession('game-1', state, 7)
 * } catch (error) {
 *   if (!(error instanceof StateError)) throw error
 *   console.log(error.code, error.sessionId) // CONCURRENT_MODIFICATION game-1
 * }
 */
export declare class StateError extends Error {
  /** Identifies the kind of error, for programs. The codes never change. */
  readonly code: string
  /** The id of the session, if the error concerns one. */
  readonly sessionId: string | undefined
}

/**
 * The session does not exist. Nothing changed.
 *
 * @example
 * try {
 *   await manager.updateSession('game-2', state, 1)
 * } catch (error) {
 *   if (error instanceof SessionNotFoundError) console.log(error.code, 'answer with 404')
 * }
 */
export declare class SessionNotFoundError extends StateError {
  constructor(sessionId: string)
  readonly code: 'SESSION_NOT_FOUND'
  readonly sessionId: string
}

/**
 * The session exists already, and `createSession` was called with `ifAbsent`. Nothing changed.
 *
 * @example
 * try {
 *   await manager.createSession(state, { ifAbsent: true })
 * } catch (error) {
 *   if (error instanceof SessionExistsError) console.log(error.code, error.sessionId)
 * }
 */
export declare class SessionExistsError extends StateError {
  constructor(sessionId: string)
  readonly code: 'SESSION_EXISTS'
  readonly sessionId: string
}

/**
 * Another writer was first: the stored version is not the expected version. The call changed nothing. Read
 * the session again and retry, or use `modifySession`.
 *
 * @example
 * try {
 *   await manager.updateSession('game-1', state, 7)
 * } catch (error) {
 *   if (!(error instanceof ConcurrencyError)) throw error
 *   console.log(error.code, `expected ${error.expectedVersion}, found ${error.actualVersion}`)
 * }
 */
export declare class ConcurrencyError extends StateError {
  constructor(sessionId: string, expectedVersion: number, actualVersion: number)
  readonly code: 'CONCURRENT_MODIFICATION'
  readonly sessionId: string
  readonly expectedVersion: number
  /** The stored version. */
  readonly actualVersion: number
}

/**
 * The value under the session's key is not a session. Nothing changed. `createSession` replaces the value.
 *
 * @example
 * await client.call('SET', 'session:broken', 'no JSON')
 * const read = manager.getSession('broken')
 * await read.catch((error: unknown) => {
 *   if (!(error instanceof StateDeserializationError)) throw error
 *   console.log(error.code, error.rawData.length)
 * })
 */
export declare class StateDeserializationError extends StateError {
  constructor(sessionId: string, rawData: string, cause?: unknown)
  readonly code: 'STATE_DESERIALIZATION_ERROR'
  readonly sessionId: string
  /** The stored value. The property is not enumerable, so that loggers do not print the session's content. */
  readonly rawData: string
}

/**
 * An argument or an option is invalid. The module sent nothing. Nothing changed.
 *
 * @example
 * try {
 *   new RedisStateManager('https://example.com')
 * } catch (error) {
 *   if (error instanceof InvalidStateError) console.log(error.code, error.field)
 * }
 */
export declare class InvalidStateError extends StateError {
  constructor(field: string, reason: string, sessionId?: string, cause?: unknown)
  readonly code: 'INVALID_STATE'
  /** The invalid field, argument or option, such as `participants[0].total_time_ms`. */
  readonly field: string
}

/**
 * The module could not reach Redis before the deadline of the call, or Redis refused the call until then
 * (`NOREPLICAS`, `LOADING`, …). Nothing changed, so the caller may retry. The message names the server by
 * host and port.
 *
 * @example
 * const status = (error: unknown) => {
 *   if (error instanceof ConcurrencyError) return 409
 *   // Nothing changed: the client may repeat the request.
 *   if (error instanceof RedisUnavailableError) return 503
 *   // Redis may have applied the call: the client reads the session first.
 *   if (error instanceof OutcomeUnknownError) return 503
 *   return 500
 * }
 * await manager.deleteSession('game-1').catch((error) => console.log(status(error), error.code))
 */
export declare class RedisUnavailableError extends StateError {
  constructor(reason: string, sessionId?: string)
  readonly code: 'REDIS_UNAVAILABLE' | 'OVERLOADED'
}

/**
 * The module refused the call at once, because the calls in flight reach `maxInFlight` or
 * `maxInFlightBytes`. Nothing changed. Redis may be healthy: this process makes too many calls at once.
 *
 * @example
 * try {
 *   await manager.touchSession('game-1')
 * } catch (error) {
 *   if (error instanceof OverloadedError) console.log(error.code, 'too many calls at once')
 * }
 */
export declare class OverloadedError extends RedisUnavailableError {
  constructor(reason: string, sessionId?: string)
  readonly code: 'OVERLOADED'
}

/**
 * The module sent the call, and no answer came before the deadline. Redis may have applied the call. Read
 * the session before you retry.
 *
 * @example
 * try {
 *   await manager.createSession(state)
 * } catch (error) {
 *   if (!(error instanceof OutcomeUnknownError)) throw error
 *   console.log(error.code, (await manager.getSession('game-1'))?.updated_at)
 * }
 */
export declare class OutcomeUnknownError extends StateError {
  constructor(reason: string, sessionId?: string)
  readonly code: 'OUTCOME_UNKNOWN'
}

/**
 * Redis refused the command. The message is Redis' own. Nothing changed, except what a script did before
 * its error.
 *
 * @example
 * try {
 *   await client.call('INCR', 'session:game-1', 'too many')
 * } catch (error) {
 *   if (error instanceof RedisReplyError) console.log(error.code, error.message)
 * }
 */
export declare class RedisReplyError extends StateError {
  constructor(message: string, sessionId?: string)
  readonly code: 'REDIS_REPLY'
}

/**
 * The queue holds `maxBacklog` records already. It did not accept this record.
 *
 * @example
 * try {
 *   await queue.queueWrite('game-1', state, 'cycle_switched')
 * } catch (error) {
 *   if (error instanceof BacklogFullError) console.log(error.code, error.maxBacklog)
 * }
 */
export declare class BacklogFullError extends StateError {
  constructor(maxBacklog: number, sessionId?: string)
  readonly code: 'BACKLOG_FULL'
  readonly maxBacklog: number
}

/**
 * The database refused a statement, or the module could not use it: PostgreSQL was not reached, or the file
 * of SQLite was locked, for example. The message names the server or the file.
 *
 * @example
 * await queue.migrate().catch((error: unknown) => {
 *   if (error instanceof DatabaseError) console.log(error.code, error.sqlstate ?? 'not reached')
 * })
 */
export declare class DatabaseError extends StateError {
  constructor(reason: string, sqlstate?: string | null)
  readonly code: 'DATABASE_ERROR'
  /**
   * PostgreSQL's error code, such as `'42501'`, or the name of SQLite's result code, such as `'SQLITE_FULL'`. Null
   * if PostgreSQL did not answer.
   */
  readonly sqlstate: string | null
}

/**
 * The manager, queue or client is closed. Nothing changed.
 *
 * @example
 * await manager.close()
 * await manager.getSession('game-1').catch((error: unknown) => {
 *   if (error instanceof ClosedError) console.log(error.code)
 * })
 */
export declare class ClosedError extends StateError {
  constructor(sessionId?: string)
  readonly code: 'CLOSED'
}
