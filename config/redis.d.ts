export {
  createRedisClient,
  createRedisPubSubClient,
  RedisClient,
  type RedisClientOptions,
  type RedisClientStatus,
  type RedisInstance,
  type RedisReply,
  type RedisServerOptions,
  type RedisSource,
  type RedisTlsOptions,
} from '../index.js'
