'use strict'

// Names in plain sight: it is by reading this file that `import` learns what a CommonJS module
// exports. So there is one set of classes, and `instanceof` holds across both module systems.
const { RedisStateManager } = require('./state/RedisStateManager.js')
const { DBWriteQueue } = require('./state/DBWriteQueue.js')
const { RedisClient, createRedisClient, createRedisPubSubClient } = require('./config/redis.js')
const { SyncMode, SyncStatus } = require('./types/session.js')
const {
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
} = require('./errors/StateErrors.js')

module.exports = {
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
}
