import { Router } from 'express'
import type { Registry } from 'prom-client'
import type { Redis } from '@/config/redis'
import type { DBWriteQueue } from '@/state/DBWriteQueue'

/** For the orchestrator and for Prometheus. */
export function healthRoutes(probe: Redis, queue: DBWriteQueue, registry: Registry): Router {
  const router = Router()

  router.get('/live', (_request, response) => {
    response.json({ status: 'ok' })
  })

  router.get('/ready', async (_request, response) => {
    try {
      response.json({ redis: await probe.ping(), audit: await queue.getMetrics() })
    } catch {
      response.status(503).set('retry-after', '1').json({ redis: probe.status })
    }
  })

  router.get('/metrics', async (_request, response) => {
    response.type(registry.contentType).send(await registry.metrics())
  })

  return router
}
