import express from 'express'
import { pino } from 'pino'
import { errorHandler } from '@/api/errors'
import { ClockRuleError } from '@/clock/clock'
import * as errors from '@/errors/StateErrors'

test.each([
  { status: 400, error: new errors.InvalidStateError('status', 'is unknown') },
  { status: 404, error: new errors.SessionNotFoundError('a') },
  { status: 409, error: new errors.ConcurrencyError('a', 1, 2) },
  { status: 409, error: new errors.SessionExistsError('a') },
  { status: 409, error: new ClockRuleError('The clock is expired') },
  { status: 503, error: new errors.RedisUnavailableError('not reached') },
  { status: 503, error: new errors.OverloadedError('10000 calls are in flight') },
  { status: 503, error: new errors.OutcomeUnknownError('no answer') },
  { status: 503, error: new errors.ClosedError() },
])('$status is the answer to $error.name', async ({ status, error }) => {
  const answer = await answerTo(error)

  expect(answer.status).toBe(status)
  expect(await answer.json()).toEqual({ code: error.code, message: error.message })
  expect(answer.headers.get('retry-after')).toBe(status === 503 ? '1' : null)
})

test.each([
  ['a stored value that is no session', new errors.StateDeserializationError('a', 'secret')],
  ['a fault of the service', new TypeError('secret')],
])('the details of %s stay in the log', async (_, error) => {
  const answer = await answerTo(error)

  expect(answer.status).toBe(500)
  expect(await answer.json()).toEqual({ code: 'INTERNAL', message: 'Internal error' })
})

/** The answer of a service whose route throws this. */
async function answerTo(error: Error) {
  const app = express()
  app.get('/', async () => {
    throw error
  })
  app.use(errorHandler(pino({ level: 'silent' })))
  const server = app.listen(0, '127.0.0.1')
  try {
    await new Promise((resolve) => server.once('listening', resolve))
    const address = server.address()
    if (typeof address !== 'object' || !address) throw new Error('it does not listen')
    return await fetch(`http://127.0.0.1:${address.port}`)
  } finally {
    server.close()
  }
}
