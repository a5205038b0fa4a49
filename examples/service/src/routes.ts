import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { SessionNotFoundError } from '@/errors/StateErrors'
import type { RedisStateManager } from '@/state/RedisStateManager'
import { changeSession } from './change-session.ts'
import { type ClockSettings, newClock, started, turnEnded } from './clock.ts'
import type { SessionStreams } from './session-streams.ts'

const settings = {
  type: 'object',
  required: ['participants', 'time_ms'],
  properties: {
    participants: {
      type: 'array',
      items: { type: 'string', minLength: 1 },
      minItems: 2,
      uniqueItems: true,
    },
    time_ms: { type: 'integer', minimum: 1 },
    increment_ms: { type: 'integer', minimum: 0 },
  },
}

const turn = {
  type: 'object',
  required: ['participant_id'],
  properties: { participant_id: { type: 'string' } },
}

type Session = { Params: { id: string } }

export function addRoutes(
  app: FastifyInstance,
  manager: RedisStateManager,
  streams: SessionStreams,
) {
  app.post<{ Body: ClockSettings }>(
    '/sessions',
    { schema: { body: settings } },
    async (request, reply) => {
      const clock = newClock(randomUUID(), request.body)
      await manager.createSession(clock)
      return reply.status(201).send(clock)
    },
  )

  app.get<Session>('/sessions/:id', async ({ params }) => {
    const state = await manager.getSession(params.id)
    if (!state) throw new SessionNotFoundError(params.id)
    return state
  })

  app.post<Session>('/sessions/:id/start', ({ params }) =>
    changeSession(manager, params.id, (clock) => started(clock)),
  )

  app.post<Session & { Body: { participant_id: string } }>(
    '/sessions/:id/switch',
    { schema: { body: turn } },
    ({ params, body }) =>
      changeSession(manager, params.id, (clock) => turnEnded(clock, body.participant_id)),
  )

  app.delete<Session>('/sessions/:id', async ({ params }, reply) => {
    await manager.deleteSession(params.id)
    return reply.status(204).send()
  })

  app.post<Session>('/sessions/:id/messages', async ({ params, body }, reply) => {
    await manager.broadcastToSession(params.id, body)
    return reply.status(202).send()
  })

  app.get<Session>('/sessions/:id/events', async ({ params }, reply) => {
    const stream = await streams.open(params.id)
    return reply.type('text/event-stream').header('cache-control', 'no-cache').send(stream)
  })
}
