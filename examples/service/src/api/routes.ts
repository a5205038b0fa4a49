import { randomUUID } from 'node:crypto'
import { pipeline } from 'node:stream/promises'
import { Router } from 'express'
import { type ClockSettings, newClock, started, turnEnded } from '@/clock/clock'
import { InvalidStateError, SessionNotFoundError } from '@/errors/StateErrors'
import type { RedisStateManager } from '@/state/RedisStateManager'
import type { SessionStreams } from './session-streams'

export function sessionRoutes(manager: RedisStateManager, streams: SessionStreams): Router {
  const router = Router()

  router.post('/', async (request, response) => {
    const clock = newClock(randomUUID(), settingsIn(request.body))
    await manager.createSession(clock)
    response.status(201).json(clock)
  })

  router.get('/:id', async ({ params }, response) => {
    response.json(await read(params.id))
  })

  // With the version that was read: of two starts at once, one is refused with ConcurrencyError.
  router.post('/:id/start', async ({ params }, response) => {
    const clock = await read(params.id)
    const running = started(clock)
    await manager.updateSession(params.id, running, clock.version)
    response.json({ ...running, version: clock.version + 1 })
  })

  // Reads, changes and writes; again where somebody else was first.
  router.post('/:id/switch', async ({ params, body }, response) => {
    const participantId = String(body?.participant_id)
    response.json(
      await manager.modifySession(params.id, (clock) => turnEnded(clock, participantId)),
    )
  })

  router.delete('/:id', async ({ params }, response) => {
    await manager.deleteSession(params.id)
    response.status(204).end()
  })

  router.post('/:id/messages', async ({ params, body }, response) => {
    await manager.broadcastToSession(params.id, body)
    response.status(202).end()
  })

  router.get('/:id/events', async ({ params }, response) => {
    const stream = await streams.open(params.id)
    response.set({
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache',
      connection: 'close', // Kept alive after its end, it would hold up `server.close()`.
    })
    await pipeline(stream, response).catch(() => {}) // The browser has gone.
  })

  async function read(sessionId: string) {
    const state = await manager.getSession(sessionId)
    if (!state) throw new SessionNotFoundError(sessionId)
    return state
  }

  return router
}

/** @throws {InvalidStateError} if they make no clock */
function settingsIn(body: Partial<ClockSettings> | undefined): ClockSettings {
  const { participants, time_ms, increment_ms = 0 } = body ?? {}
  const names: unknown[] = Array.isArray(participants) ? participants : []
  if (names.length < 2 || new Set(names).size < names.length) {
    throw new InvalidStateError('participants', 'expected two or more different names')
  }
  if (!names.every((name) => typeof name === 'string' && name !== '')) {
    throw new InvalidStateError('participants', 'expected names')
  }
  if (!Number.isInteger(time_ms) || Number(time_ms) <= 0) {
    throw new InvalidStateError('time_ms', 'expected a positive integer')
  }
  if (!Number.isInteger(increment_ms) || increment_ms < 0) {
    throw new InvalidStateError('increment_ms', 'expected an integer, 0 or more')
  }
  return { participants: names as string[], time_ms: Number(time_ms), increment_ms }
}
