import { rateLimit } from 'express-rate-limit'
import { type RedisReply, RedisStore } from 'rate-limit-redis'
import { createRedisClient, type Redis } from '@/config/redis'

const WINDOW_MS = 60_000

/** The limiter's own client: its keys are in database 1, and it does not wait long for Redis. */
export function createLimiterClient(): Redis {
  const redis: Redis = createRedisClient(undefined, { commandTimeoutMs: 500 })
  redis.select(1).catch(() => {}) // Without Redis `limitRequests` does without, too.
  return redis
}

/** Lets an address make so many requests a minute, counted in Redis for all instances together. */
export function limitRequests(redis: Redis, limit: number) {
  return rateLimit({
    windowMs: WINDOW_MS,
    limit,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    passOnStoreError: true, // Without Redis nobody is locked out.
    store: new RedisStore({
      prefix: 'limit:',
      sendCommand: (command: string, ...args: string[]) =>
        redis.call(command, ...args) as Promise<RedisReply>,
    }),
    handler: (_request, response) => {
      response.status(429).json({ code: 'TOO_MANY_REQUESTS', message: 'Try again later' })
    },
  })
}
