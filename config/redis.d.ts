export {
  createRedisClient,
  createRedisPubSubClient,
  RedisClient,
  type RedisClientOptions,
  type RedisClientStatus,
  type RedisReply,
} from '../index.js'
