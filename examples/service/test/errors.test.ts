import { randomUUID } from 'node:crypto'
import Fastify from 'fastify'
import * as errors from '@/errors/StateErrors'
import { RedisStateManager } from '@/state/RedisStateManager'
import { changeSession } from '../src/change-session.ts'
import { newClock } from '../src/clock.ts'
import { answerErrors } from '../src/http-errors.ts'

test.each([
  { status: 400, error: new errors.InvalidStateError('status', 'is unknown') },
  { status: 404, error: new errors.SessionNotFoundError('a') },
  { status: 409, error: new errors.ConcurrencyError('a', 1, 2) },
  { status: 409, error: new errors.SessionExistsError('a') },
  { status: 503, error: new errors.RedisUnavailableError('not reached') },
  { status: 503, error: new errors.ClosedError() },
  { status: 504, error: new errors.OutcomeUnknownError('no answer') },
])('$status is the answer to $error.name', async ({ status, error }) => {
  const answer = await answerTo(error)

  expect(answer.status).toBe(status)
  expect(await answer.json()).toEqual({ code: error.code, message: error.message })
  expect(answer.headers.get('retry-after')).toBe(status === 503 ? '1' : null)
})

test.each([
  ['a stored value that is no session', new errors.StateDeserializationError('a', 'secret')],
  ['a fault of the service', new TypeError('secret')],
])('of %s nothing is told', async (_, error) => {
  const answer = await answerTo(error)

  expect(answer.status).toBe(500)
  expect(await answer.json()).toEqual({ code: 'INTERNAL', message: 'Internal error' })
})

/** What a service answers whose route throws this. */
async function answerTo(error: Error) {
  const app = Fastify()
  answerErrors(app)
  app.get('/', async () => {
    throw error
  })
  try {
    return await fetch(await app.listen())
  } finally {
    await app.close()
  }
}

describe('a change', () => {
  const manager = new RedisStateManager(process.env.REDIS_URL ?? '')
  afterAll(() => manager.close())

  /** Somebody else's change, in between. */
  async function interfere(id: string) {
    const state = await manager.getSession(id)
    if (state) await manager.updateSession(id, state, state.version)
  }

  test('is made again on what another has written meanwhile', async () => {
    const id = randomUUID()
    await manager.createSession(newClock(id, { participants: ['alice', 'bob'], time_ms: 1000 }))
    const seen: number[] = []

    const written = await changeSession(manager, id, async (state) => {
      if (seen.push(state.version) === 1) await interfere(id)
      return { ...state, max_time_ms: 5 }
    })

    expect(seen).toEqual([1, 2])
    expect(written).toMatchObject({ version: 3, max_time_ms: 5 })
    expect(await manager.getSession(id)).toMatchObject({ version: 3, max_time_ms: 5 })
  })

  test('is given up where others are first each time', async () => {
    const id = randomUUID()
    await manager.createSession(newClock(id, { participants: ['alice', 'bob'], time_ms: 1000 }))

    const change = changeSession(manager, id, async (state) => {
      await interfere(id)
      return state
    })

    await expect(change).rejects.toThrow(errors.ConcurrencyError)
  })
})
