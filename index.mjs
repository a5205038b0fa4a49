// One set of classes for both module systems: `instanceof` holds across them.
import api from './index.js'

export const {
  RedisStateManager,
  DBWriteQueue,
  RedisClient,
  createRedisClient,
  createRedisPubSubClient,
  SyncMode,
  SyncStatus,
  StateError,
  SessionNotFoundError,
  SessionExistsError,
  ConcurrencyError,
  StateDeserializationError,
  InvalidStateError,
  RedisUnavailableError,
  OutcomeUnknownError,
  RedisReplyError,
  BacklogFullError,
  DatabaseError,
  ClosedError,
} = api
