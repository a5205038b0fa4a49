export {
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
} from '../index.js'
