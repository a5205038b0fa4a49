export {
  type Logger,
  RedisStateManager,
  type RedisStateManagerOptions,
  type WriteQueue,
} from '../index.js'
