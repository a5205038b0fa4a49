'use strict'

/** The base of all errors of this module: a stable `code`, and the session it is about. */
class StateError extends Error {
  /**
   * @param {string} message
   * @param {string} code
   * @param {string} [sessionId]
   * @param {unknown} [cause]
   */
  constructor(message, code, sessionId, cause) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.sessionId = sessionId
  }
}

// On the prototype, as with the errors of the language: `name` is no field of each error.
/** @param {string} name @param {Function} errorClass */
function named(name, errorClass) {
  Object.defineProperty(errorClass.prototype, 'name', {
    value: name,
    configurable: true,
    writable: true,
  })
}

/** There is no such session. Nothing changed. */
class SessionNotFoundError extends StateError {
  /** @param {string} sessionId */
  constructor(sessionId) {
    super(`Session ${sessionId} not found`, 'SESSION_NOT_FOUND', sessionId)
  }
}

/** `ifAbsent` was asked for, and there is such a session. Nothing changed. */
class SessionExistsError extends StateError {
  /** @param {string} sessionId */
  constructor(sessionId) {
    super(`Session ${sessionId} exists already`, 'SESSION_EXISTS', sessionId)
  }
}

/** Another writer was first. Nothing changed. */
class ConcurrencyError extends StateError {
  /**
   * @param {string} sessionId
   * @param {number} expectedVersion
   * @param {number} actualVersion
   */
  constructor(sessionId, expectedVersion, actualVersion) {
    super(
      `Concurrent modification detected on session ${sessionId}: expected version ${expectedVersion}, found ${actualVersion}`,
      'CONCURRENT_MODIFICATION',
      sessionId,
    )
    this.expectedVersion = expectedVersion
    this.actualVersion = actualVersion
  }
}

/** What is stored under the session's key is no session. Nothing changed. */
class StateDeserializationError extends StateError {
  /**
   * @param {string} sessionId
   * @param {string} rawData
   * @param {unknown} [cause]
   */
  constructor(sessionId, rawData, cause) {
    super(
      `Failed to deserialize state for session ${sessionId}`,
      'STATE_DESERIALIZATION_ERROR',
      sessionId,
      cause,
    )
    // Not enumerable: a session's content does not belong into a log that prints errors whole.
    Object.defineProperty(this, 'rawData', { value: rawData, enumerable: false })
  }
}

/** The caller's input, refused before anything was sent. */
class InvalidStateError extends StateError {
  /**
   * @param {string} field
   * @param {string} reason
   * @param {string} [sessionId]
   * @param {unknown} [cause]
   */
  constructor(field, reason, sessionId, cause) {
    super(`Invalid ${field}: ${reason}`, 'INVALID_STATE', sessionId, cause)
    this.field = field
  }
}

/** No answer could be had, and nothing changed. */
class RedisUnavailableError extends StateError {
  /** @param {string} reason @param {string} [sessionId] */
  constructor(reason, sessionId) {
    super(`Redis is unavailable: ${reason}`, 'REDIS_UNAVAILABLE', sessionId)
  }
}

/** A limit of this process refused the call before it was sent: Redis may be well. */
class OverloadedError extends RedisUnavailableError {
  /** @param {string} reason @param {string} [sessionId] */
  constructor(reason, sessionId) {
    super(reason, sessionId)
    this.code = 'OVERLOADED'
    this.message = `Overloaded: ${reason}`
    Error.captureStackTrace(this, OverloadedError) // The stack begins with the message.
  }

  /** @param {string} server @param {string} calls @param {string} option @param {string} [sessionId] */
  static full(server, calls, option, sessionId) {
    const reason = `${calls} are in flight, and no more are allowed (${option})`
    return new OverloadedError(`${server}: ${reason}`, sessionId)
  }
}

/** The call was sent, and no answer came that tells whether it was applied. */
class OutcomeUnknownError extends StateError {
  /** @param {string} reason @param {string} [sessionId] */
  constructor(reason, sessionId) {
    super(`The outcome is unknown: ${reason}`, 'OUTCOME_UNKNOWN', sessionId)
  }
}

/** Redis refused the command; the message is its own. Nothing changed, unless a script of a `call()` said so. */
class RedisReplyError extends StateError {
  /** @param {string} message @param {string} [sessionId] */
  constructor(message, sessionId) {
    super(message, 'REDIS_REPLY', sessionId)
  }
}

/** As many audit records wait as may. The record was not queued. */
class BacklogFullError extends StateError {
  /** @param {number} maxBacklog @param {string} [sessionId] */
  constructor(maxBacklog, sessionId) {
    super(`${maxBacklog} audit records wait already (maxBacklog)`, 'BACKLOG_FULL', sessionId)
    this.maxBacklog = maxBacklog
  }
}

/** PostgreSQL or SQLite refused, or could not be used. */
class DatabaseError extends StateError {
  /** @param {string} reason @param {string | null} [sqlstate] its own code, where it answered */
  constructor(reason, sqlstate) {
    const database = /^SQLITE_/.test(sqlstate ?? '') ? 'SQLite' : 'PostgreSQL'
    super(`${database}: ${reason}`, 'DATABASE_ERROR')
    this.sqlstate = sqlstate ?? null
  }
}

/** The manager or client is closed. Nothing changed. */
class ClosedError extends StateError {
  /** @param {string} [sessionId] */
  constructor(sessionId) {
    super('Closed: no more calls are accepted', 'CLOSED', sessionId)
  }
}

module.exports = {
  StateError,
  SessionNotFoundError,
  SessionExistsError,
  ConcurrencyError,
  StateDeserializationError,
  InvalidStateError,
  RedisUnavailableError,
  OverloadedError,
  OutcomeUnknownError,
  RedisReplyError,
  BacklogFullError,
  DatabaseError,
  ClosedError,
}

for (const [name, errorClass] of Object.entries(module.exports)) named(name, errorClass)
