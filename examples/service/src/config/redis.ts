import process from 'node:process'
import { Redis } from 'ioredis'

export type { Redis }

/** A client of the server of `REDIS_URL`, unless a URL is given. */
export function createRedisClient(
  url = process.env.REDIS_URL ?? 'redis://localhost:6379',
  { commandTimeoutMs = 5000 } = {},
): Redis {
  const redis = new Redis(url, { commandTimeout: commandTimeoutMs, maxRetriesPerRequest: null })
  redis.on('error', () => {}) // ioredis reconnects; each command that fails says so itself.
  return redis
}

/** A client for subscriptions. */
export const createRedisPubSubClient = createRedisClient
