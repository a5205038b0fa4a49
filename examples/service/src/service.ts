import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import process from 'node:process'
import express from 'express'
import type { Logger } from 'pino'
import { createRedisClient, createRedisPubSubClient } from '@/config/redis'
import { DBWriteQueue } from '@/state/DBWriteQueue'
import { StateManager } from '@/state/StateManager'
import { errorHandler } from './api/errors'
import { healthRoutes } from './api/health'
import { createLimiterClient, limitRequests } from './api/limiter'
import { sessionRoutes } from './api/routes'
import { SessionStreams } from './api/session-streams'
import { createMetrics } from './metrics'

export interface ServiceSettings {
  logger: Logger
  /** How many requests an address may make a minute. Default 10000. */
  requestsPerMinute?: number
}

/** One instance of the service, on the servers of `REDIS_URL` and `DATABASE_URL`. */
export function createService({ logger, requestsPerMinute = 10_000 }: ServiceSettings) {
  const { REDIS_URL = 'redis://localhost:6379' } = process.env
  const redis = createRedisClient()
  const pubSub = createRedisPubSubClient()
  const probe = createRedisClient(REDIS_URL, { commandTimeoutMs: 500 })
  const limits = createLimiterClient()
  // Creates the audit's tables as soon as PostgreSQL answers. Until then the records wait in Redis.
  const queue = new DBWriteQueue(REDIS_URL, { migrate: true, logger })
  const { registry, sessions } = createMetrics(queue)
  const manager = new StateManager(sessions, redis, pubSub, queue, { logger })
  const streams = new SessionStreams(manager)

  const app = express()
  app.disable('x-powered-by')
  app.use(healthRoutes(probe, queue, registry))
  app.use(limitRequests(limits, requestsPerMinute))
  app.use(express.json())
  app.use('/sessions', sessionRoutes(manager, streams))
  app.use(errorHandler(logger))
  const server = createServer(app)

  return {
    /** Resolves to the URL once all instances' updates are heard and requests are answered. */
    async listen(port = 0, host = '127.0.0.1'): Promise<string> {
      await manager.subscribed()
      await once(server.listen(port, host), 'listening')
      return `http://${host}:${(server.address() as AddressInfo).port}`
    },

    /** Answers what was asked, then closes everything that was opened here. */
    async close(): Promise<void> {
      streams.close()
      await new Promise((resolve) => server.close(resolve))
      await manager.close() // and with it `redis` and `pubSub`
      await queue.close()
      await Promise.allSettled([probe.quit(), limits.quit()])
      // Without Redis a quit fails, and ioredis would go on reconnecting.
      for (const client of [redis, pubSub, probe, limits]) client.disconnect()
    },
  }
}
