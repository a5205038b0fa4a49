'use strict'

const { SyncMode, SyncStatus } = require('./lib/types.js')
const { fromWire, ...errors } = require('./lib/errors.js')
const { RedisClient, createRedisClient, createRedisPubSubClient } = require('./lib/RedisClient.js')
const { DBWriteQueue } = require('./lib/DBWriteQueue.js')
const { RedisStateManager } = require('./lib/RedisStateManager.js')

module.exports = {
  RedisStateManager,
  DBWriteQueue,
  RedisClient,
  createRedisClient,
  createRedisPubSubClient,
  SyncMode,
  SyncStatus,
  ...errors,
}
