import { startApi } from './api'

let api: Awaited<ReturnType<typeof startApi>>
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api.close())

test('a start is a conflict when another writer was first', async () => {
  const id = await api.create()
  api.store.conflict(id)

  const start = await api.post(`/sessions/${id}/start`)

  expect(start).toMatchObject({ status: 409, body: { code: 'CONCURRENT_MODIFICATION' } })
  expect(api.store.sessions()).toMatchObject([{ status: 'pending', version: 2 }])
})

test('a switch is done although another writer was first', async () => {
  const id = await api.create()
  await api.post(`/sessions/${id}/start`)
  api.store.conflict(id)

  const switched = await api.post(`/sessions/${id}/switch`, { participant_id: 'alice' })

  expect(switched).toMatchObject({
    status: 200,
    body: { active_participant_id: 'bob', version: 4 },
  })
})

test('a session is not found an hour after its last change', async () => {
  const id = await api.create()

  api.store.clock.advance(3_600_000)

  expect((await api.get(`/sessions/${id}`)).status).toBe(404)
})

test('without Redis a request is to be tried later, and changes nothing', async () => {
  const id = await api.create()
  const end = api.store.outage()

  const start = await api.post(`/sessions/${id}/start`)
  end()

  expect(start).toMatchObject({ status: 503, body: { code: 'REDIS_UNAVAILABLE' } })
  expect(start.headers.get('retry-after')).toBe('1')
  expect((await api.get(`/sessions/${id}`)).body).toMatchObject({ status: 'pending', version: 1 })
})

test('a request whose answer is lost may have been done', async () => {
  const id = await api.create()
  api.store.loseAnswers(1)

  const start = await api.post(`/sessions/${id}/start`)

  expect(start).toMatchObject({ status: 503, body: { code: 'OUTCOME_UNKNOWN' } })
  expect((await api.get(`/sessions/${id}`)).body).toMatchObject({ status: 'running', version: 2 })
})

test("the reason why Redis refuses a call is not the client's affair", async () => {
  api.store.refuse("OOM command not allowed when used memory > 'maxmemory'.")

  const { status, body } = await api.post('/sessions', { participants: ['a', 'b'], time_ms: 1000 })

  expect({ status, body }).toEqual({
    status: 500,
    body: { code: 'INTERNAL', message: 'Internal error' },
  })
})

test('each change is audited', async () => {
  const id = await api.create()
  await api.post(`/sessions/${id}/start`)
  await api.delete(`/sessions/${id}`)

  expect(api.store.records()).toMatchObject([
    { sessionId: id, eventType: 'session_created', state: { version: 1 } },
    { sessionId: id, eventType: 'session_updated', state: { version: 2, status: 'running' } },
    { sessionId: id, eventType: 'session_deleted', state: null },
  ])
})

test('a stream catches up when its instance has missed a change', async () => {
  const id = await api.create()
  await api.store.settled() // Else the stream may tell version 1 twice: as it begins, and as an update.
  const heard = api.events(id)
  expect((await heard.next()).value).toEqual(['update', expect.objectContaining({ version: 1 })])

  await api.store.gap(() => api.post(`/sessions/${id}/start`))

  expect((await heard.next()).value).toEqual(['update', expect.objectContaining({ version: 2 })])
  await heard.return()
})
