'use strict'

const {
  BacklogFullError,
  ClosedError,
  ConcurrencyError,
  DatabaseError,
  InvalidStateError,
  OutcomeUnknownError,
  RedisReplyError,
  RedisUnavailableError,
  SessionExistsError,
  SessionNotFoundError,
  StateDeserializationError,
  StateError,
} = require('./errors.js')

/**
 * The error that the core tells of, made in the caller's realm.
 *
 * @param {string} wire JSON, as `to_wire` in `src/node/completions.rs` writes it
 * @param {string} [sessionId]
 * @returns {InstanceType<typeof StateError>}
 */
function fromWire(wire, sessionId) {
  const error = JSON.parse(wire)
  const id = error.sessionId ?? sessionId
  switch (error.code) {
    case 'SESSION_NOT_FOUND':
      return new SessionNotFoundError(id)
    case 'SESSION_EXISTS':
      return new SessionExistsError(id)
    case 'CONCURRENT_MODIFICATION':
      return new ConcurrencyError(id, error.expectedVersion, error.actualVersion)
    case 'STATE_DESERIALIZATION_ERROR':
      return new StateDeserializationError(id, error.rawData, whyNoJson(error.rawData))
    case 'INVALID_STATE':
      return new InvalidStateError(error.field, error.reason, id)
    case 'REDIS_UNAVAILABLE':
      return new RedisUnavailableError(error.reason, id)
    case 'OUTCOME_UNKNOWN':
      return new OutcomeUnknownError(error.reason, id)
    case 'REDIS_REPLY':
      return new RedisReplyError(error.message, id)
    case 'BACKLOG_FULL':
      return new BacklogFullError(error.limit, id)
    case 'DATABASE_ERROR':
      return new DatabaseError(error.reason, error.sqlstate)
    case 'CLOSED':
      return new ClosedError(id)
    default:
      return new StateError(error.message, error.code, id)
  }
}

/** What `JSON.parse` says of a text, if it refuses it. @param {string} text */
function whyNoJson(text) {
  try {
    JSON.parse(text)
    return undefined
  } catch (error) {
    return error
  }
}

module.exports = { fromWire }
