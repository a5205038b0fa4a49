import { randomUUID } from 'node:crypto'
import { type Instance, startInstance } from './instance.ts'

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
  expect(body.participants[0].has_gone).toBe(true)
})

test('what breaks the rules of the clock is a conflict, and changes nothing', async () => {
  const id = await service.create()
  await service.post(`/sessions/${id}/start`)

  const again = await service.post(`/sessions/${id}/start`)
  const notBob = await service.post(`/sessions/${id}/switch`, { participant_id: 'bob' })

  expect(again).toMatchObject({ status: 409, body: { code: 'CLOCK_RULE' } })
  expect(notBob).toMatchObject({ status: 409, body: { code: 'CLOCK_RULE' } })
  expect((await service.get(`/sessions/${id}`)).body.version).toBe(2)
})

test('what is not there is not found', async () => {
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

test('a deleted session is not there any more', async () => {
  const id = await service.create()

  expect((await service.delete(`/sessions/${id}`)).status).toBe(204)

  expect((await service.get(`/sessions/${id}`)).status).toBe(404)
})

test('settings that make no clock are refused', async () => {
  const alone = await service.post('/sessions', { participants: ['alice'], time_ms: 1000 })
  const timeless = await service.post('/sessions', { participants: ['alice', 'bob'], time_ms: 0 })

  expect([alone.status, timeless.status]).toEqual([400, 400])
})

test('it is healthy', async () => {
  expect(await service.get('/health')).toMatchObject({ status: 200, body: { redis: 'PONG' } })
})
