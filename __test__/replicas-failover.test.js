'use strict'

// A failover loses what the new master had not received: versions go back, and that is noticed.

const { ConcurrencyError, DBWriteQueue } = require('..')
const { Managers } = require('./harness/managers.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { Replicated } = require('./harness/replicated.js')
const { refusalOf } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { SqliteFile } = require('./harness/sqlite.js')
const { until } = require('./harness/until.js')

let pair
const managers = new Managers()

beforeEach(async () => {
  pair = await Replicated.start()
})
afterEach(async () => {
  await managers.close()
  await pair.stop()
})

const open = (options) => managers.open(pair.proxy.url, options)

/** The new master takes over, which has nothing that was written since the two had parted. */
async function failover() {
  await pair.moveOn()
  pair.proxy.reset()
}

const versionOf = async (manager, id) => (await manager.getSession(id))?.version ?? null

test('a listener is told the older version after the gap, and nothing else is left', async () => {
  const logger = recordingLogger()
  const [manager, listener] = [open(), open({ logger })]
  const heard = []
  listener.subscribeToUpdates((id, state) => heard.push([id, state?.version ?? null]))
  await listener.subscribed()
  const [changed, created, deleted, untouched] = Array.from({ length: 4 }, () => makeState())
  for (const state of [changed, deleted, untouched]) await manager.createSession(state)
  await manager.updateSession(changed.session_id, changed)
  await pair.inSync()
  await pair.part()
  for (let n = 0; n < 3; n++) await manager.updateSession(changed.session_id, changed)
  await manager.createSession(created)
  await manager.deleteSession(deleted.session_id)
  await until(() => heard.length === 9)
  heard.length = 0
  await failover()
  await until(() => heard.length === 3)
  expect(Object.fromEntries(heard)).toEqual({
    [changed.session_id]: 2,
    [created.session_id]: null,
    [deleted.session_id]: 1,
  })
  await manager.updateSession(untouched.session_id, untouched)
  await until(() => heard.length === 4)
  expect(heard[3]).toEqual([untouched.session_id, 2])
  const { gap } = logger.told.warn.find((told) => told.gap)
  expect(gap).toMatchObject({ changed: 3 })
})

test('a listener is told another state, though the version that was lost is there again', async () => {
  const [manager, listener] = [open(), open()]
  const heard = []
  listener.subscribeToUpdates((_id, state) => heard.push([state.version, state.status]))
  await listener.subscribed()
  const state = makeState()
  const id = state.session_id
  await manager.createSession(state)
  await pair.inSync()
  await pair.part()
  await manager.updateSession(id, { ...state, status: 'running' })
  await managers.open(pair.replica.url).updateSession(id, { ...state, status: 'paused' })
  await until(() => heard.length === 2)
  await failover()
  await until(() => heard.length === 3)
  expect(heard).toEqual([
    [1, 'pending'],
    [2, 'running'],
    [2, 'paused'],
  ])
})

test('a locked update with a version that is lost is a conflict', async () => {
  const manager = open()
  const state = makeState()
  const id = state.session_id
  await manager.createSession(state)
  await pair.inSync()
  await pair.part()
  await manager.updateSession(id, state, 1)
  await failover()
  const error = await refusalOf(() => manager.updateSession(id, state, 2))
  expect(error).toBeInstanceOf(ConcurrencyError)
  expect(error).toMatchObject({ expectedVersion: 2, actualVersion: 1 })
  await manager.modifySession(id, (session) => ({ ...session, status: 'running' }))
  expect(await versionOf(manager, id)).toBe(2)
})

test('the cache forgets a version that is lost', async () => {
  const manager = open({ cache: {} })
  const state = makeState({ updated_at: new Date() })
  const id = state.session_id
  await manager.createSession(state)
  await pair.inSync()
  await pair.part()
  await manager.updateSession(id, state)
  for (let n = 0; n < 3; n++) expect(await versionOf(manager, id)).toBe(2)
  await failover()
  await until(async () => (await versionOf(manager, id)) === 1, 5000)
})

test('the audit keeps what is lost, and goes on with what is written after it', async () => {
  const file = managers.keep(new SqliteFile())
  const settings = { queueName: 'failover', databaseUrl: file.url }
  const queue = managers.keep(new DBWriteQueue(pair.proxy.url, { ...settings, worker: false }))
  const manager = open({ queue })
  const [state, other] = [makeState(), makeState()]
  const id = state.session_id
  const stored = async () => {
    const [row] = await file.rows(
      `SELECT metadata ->> 'version' AS version, last_updated_at AS at FROM sync_sessions
       WHERE session_id = '${id}'`,
    )
    return row
  }
  const events = () => file.rows('SELECT event_type FROM sync_events ORDER BY timestamp, id')
  await queue.migrate()
  await manager.createSession(state)
  await manager.updateSession(id, state)
  await pair.inSync()
  await pair.part()
  await manager.updateSession(id, { ...state, status: 'running' })
  await manager.createSession(other)

  const worker = managers.keep(
    new DBWriteQueue(pair.proxy.url, { ...settings, backoffDelay: 50, batchSize: 1 }),
  )
  worker.on('error', () => {}) // The outage.
  await until(async () => (await events()).length === 4)
  const lost = await stored()
  expect(lost.version).toBe(3)

  // The new master has the first two records yet, and hands them out again.
  await failover()
  await until(async () => (await worker.getMetrics()).completed === 2)
  expect(await events()).toHaveLength(4)
  expect(await stored()).toEqual(lost)

  await manager.updateSession(id, { ...state, status: 'paused' }, 2)
  await until(async () => (await events()).length === 5)
  expect(await stored()).toEqual({ version: 3, at: expect.any(String) })
  expect((await stored()).at > lost.at).toBe(true)
})
