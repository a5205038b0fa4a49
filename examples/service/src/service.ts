import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { createRedisClient, createRedisPubSubClient } from '@/config/redis'
import { DBWriteQueue } from '@/state/DBWriteQueue'
import { RedisStateManager } from '@/state/RedisStateManager'
import { answerErrors } from './http-errors.ts'
import { addRoutes } from './routes.ts'
import { SessionStreams } from './session-streams.ts'

/**
 * One instance of the service, on the servers of `REDIS_URL` and `DATABASE_URL`, not listening yet.
 * Its `close()` closes all that was opened here.
 */
export function createService(logger: FastifyBaseLogger): FastifyInstance {
  const { REDIS_URL = 'redis://localhost:6379' } = process.env
  const redis = createRedisClient()
  const pubSub = createRedisPubSubClient()
  const queue = new DBWriteQueue(REDIS_URL, { logger })
  const manager = new RedisStateManager(redis, pubSub, queue, { logger })
  const streams = new SessionStreams(manager)
  // Not awaited: without PostgreSQL the records wait in Redis, which is no reason not to start.
  queue.migrate().catch((error) => logger.error({ err: error }, 'the audit has to wait'))

  const app = Fastify({ loggerInstance: logger })
  app.addHook('onReady', () => manager.subscribed())
  app.addHook('preClose', async () => streams.close())
  app.addHook('onClose', async () => {
    await manager.close() // and with it both clients
    await queue.close()
  })

  answerErrors(app)
  addRoutes(app, manager, streams)
  app.get('/health', async () => ({ redis: await redis.ping(), audit: await queue.getMetrics() }))
  return app
}
