import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { pino } from 'pino'
import { createTestStore } from 'synckairos-state/testing'
import { errorHandler } from '@/api/errors'
import { sessionRoutes } from '@/api/routes'
import { SessionStreams } from '@/api/session-streams'
import { clientOf } from '../client'

/** The requests about sessions, on a store in memory, whose faults a test decides on. */
export async function startApi() {
  const store = createTestStore()
  const manager = store.manager({ queue: store.queue(), commandTimeoutMs: 200 })
  const streams = new SessionStreams(manager)
  await manager.subscribed()

  const app = express()
  app.use(express.json())
  app.use('/sessions', sessionRoutes(manager, streams))
  app.use(errorHandler(pino({ level: 'silent' })))
  const server = createServer(app)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo

  return {
    ...clientOf(`http://127.0.0.1:${port}`),
    store,
    manager,
    async close() {
      streams.close()
      await new Promise((resolve) => server.close(resolve))
      await store.close()
    },
  }
}
