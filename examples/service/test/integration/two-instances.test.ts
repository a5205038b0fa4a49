import { Pool } from 'pg'
import { type Instance, startInstance } from './instance'

let one: Instance
let two: Instance
const pool = new Pool({ connectionString: process.env.DATABASE_URL })

beforeAll(async () => {
  one = await startInstance()
  two = await startInstance()
})
afterAll(async () => {
  await Promise.all([one.close(), two.close()])
  await pool.end()
})

test('what happens on one is heard on the stream of the other', async () => {
  const id = await one.create()
  const heard = two.events(id)
  const next = async () => (await heard.next()).value
  expect(await next()).toEqual(['update', expect.objectContaining({ version: 1 })])

  await one.post(`/sessions/${id}/start`)
  expect(await next()).toEqual(['update', expect.objectContaining({ status: 'running' })])
  await one.post(`/sessions/${id}/messages`, { type: 'CHAT', text: 'good luck' })
  expect(await next()).toEqual(['message', { type: 'CHAT', text: 'good luck' }])
  await one.delete(`/sessions/${id}`)
  expect(await next()).toEqual(['deleted', null])
  await heard.return()
})

test('an instance that closes ends its streams', async () => {
  const id = await one.create()
  const closing = await startInstance()
  const heard = closing.events(id)
  await heard.next()

  const [end] = await Promise.all([heard.next(), closing.close()])

  expect(end.done).toBe(true)
})

test('of presses on both at once each is done or refused, and each that is done is audited once', async () => {
  const id = await one.create()
  await one.post(`/sessions/${id}/start`)
  const press = async (instance: Instance, participant_id: string) => {
    const { status } = await instance.post(`/sessions/${id}/switch`, { participant_id })
    expect([200, 409]).toContain(status)
    return status
  }

  let done = 0
  for (let round = 0; round < 10; round++) {
    const presses = [press(one, 'alice'), press(two, 'bob'), press(two, 'alice'), press(one, 'bob')]
    done += (await Promise.all(presses)).filter((status) => status === 200).length
  }

  const { body: state } = await two.get(`/sessions/${id}`)
  expect(done).toBeGreaterThanOrEqual(10)
  expect(state.version).toBe(2 + done)
  const audited = await untilAudited(id, state.version)
  expect(audited.map(({ version }) => version)).toEqual(
    Array.from({ length: state.version }, (_, index) => index + 1),
  )
  // Nobody went twice in a row: no press was applied to a state that it had not seen.
  const turns = audited.slice(1).map(({ active }) => active)
  expect(turns).toEqual(turns.map((_, index) => (index % 2 ? 'bob' : 'alice')))
}, 20_000)

/** The versions of a session that are in PostgreSQL, once so many are. */
async function untilAudited(sessionId: string, count: number) {
  const deadline = Date.now() + 10_000
  for (;;) {
    const { rows } = await pool.query(
      `SELECT (state_snapshot->>'version')::int AS version,
              state_snapshot->>'active_participant_id' AS active
       FROM sync_events WHERE session_id = $1 ORDER BY version`,
      [sessionId],
    )
    if (rows.length >= count || Date.now() > deadline) return rows
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
