export {
  type Logger,
  RedisStateManager,
  type RedisStateManagerOptions,
  type SessionCacheOptions,
  type WriteQueue,
} from '../index.js'
