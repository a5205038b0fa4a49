import { randomUUID } from 'node:crypto'
import { type Instance, startInstance } from './instance'

let service: Instance
beforeAll(async () => {
  service = await startInstance()
})
afterAll(() => service.close())

test('a clock is created, started and switched', async () => {
  const id = await service.create()

  await service.post(`/sessions/${id}/start`)
  const switched = await service.post(`/sessions/${id}/switch`, { participant_id: 'alice' })

  expect(switched.status).toBe(200)
  const { body } = await service.get(`/sessions/${id}`)
  expect(body).toMatchObject({ version: 3, status: 'running', active_participant_id: 'bob' })
})

test('a participant keeps all fields that the service gave it', async () => {
  const id = await service.create()
  const { body: created } = await service.get(`/sessions/${id}`)

  await service.post(`/sessions/${id}/start`)

  const { body: running } = await service.get(`/sessions/${id}`)
  expect(running.participants).toEqual(created.participants)
  expect(Object.keys(running.participants[0]).length).toBeGreaterThanOrEqual(5)
})

test('a clock expires when its turn was longer than there was time', async () => {
  const id = await service.create({ time_ms: 1 })
  await service.post(`/sessions/${id}/start`)
  await new Promise((resolve) => setTimeout(resolve, 5)) // the turn

  const { body } = await service.post(`/sessions/${id}/switch`, { participant_id: 'alice' })

  expect(body).toMatchObject({ status: 'expired', active_participant_id: null })
})

test('a change against the rules of the clock is a conflict, and changes nothing', async () => {
  const id = await service.create()
  await service.post(`/sessions/${id}/start`)

  const again = await service.post(`/sessions/${id}/start`)
  const notBob = await service.post(`/sessions/${id}/switch`, { participant_id: 'bob' })

  expect(again).toMatchObject({ status: 409, body: { code: 'CLOCK_RULE' } })
  expect(notBob).toMatchObject({ status: 409, body: { code: 'CLOCK_RULE' } })
  expect((await service.get(`/sessions/${id}`)).body.version).toBe(2)
})

test('of many starts at once one is done, and the others are conflicts', async () => {
  const id = await service.create()
  const starts = Array.from({ length: 10 }, () => service.post(`/sessions/${id}/start`))

  const statuses = (await Promise.all(starts)).map(({ status }) => status)

  expect(statuses.sort()).toEqual([200, ...Array(9).fill(409)])
  expect((await service.get(`/sessions/${id}`)).body.version).toBe(2)
})

test('an unknown session is not found', async () => {
  const path = `/sessions/${randomUUID()}`
  const answers = await Promise.all([
    service.get(path),
    service.get(`${path}/events`),
    service.post(`${path}/start`),
    service.post(`${path}/switch`, { participant_id: 'alice' }),
  ])

  for (const answer of answers) {
    expect(answer).toMatchObject({ status: 404, body: { code: 'SESSION_NOT_FOUND' } })
  }
})

test('a deleted session is not found any more', async () => {
  const id = await service.create()

  expect((await service.delete(`/sessions/${id}`)).status).toBe(204)

  expect((await service.get(`/sessions/${id}`)).status).toBe(404)
})

test('settings that make no clock are refused', async () => {
  const alone = await service.post('/sessions', { participants: ['alice'], time_ms: 1000 })
  const timeless = await service.post('/sessions', { participants: ['alice', 'bob'], time_ms: 0 })

  expect([alone.status, timeless.status]).toEqual([400, 400])
})
