'use strict'

const { DBWriteQueue, InvalidStateError } = require('../../index.js')
const { engines } = require('../harness/engines.js')
const { recordingLogger } = require('../harness/recording-logger.js')
const { makeState } = require('../harness/sessions.js')
const { SqliteFile } = require('../harness/sqlite.js')
const { sleep, until } = require('../harness/until.js')

/** Within so long after a session has expired, everybody is told; and some for a busy machine. */
const WITHIN = 5000
const PATIENCE = 15_000

describe.each(engines)('$engine', ({ use }) => {
  const store = use()
  let file
  let queue
  beforeEach(() => {
    file = store.keep(new SqliteFile())
    queue = store.keep(new DBWriteQueue(store.url, { databaseUrl: file.url, migrate: true }))
  })

  const open = (options) => store.open({ queue, ttlSeconds: 1, announceExpiry: true, ...options })

  const events = async (id) => {
    await queue.drained()
    const rows = await file.rows('SELECT * FROM sync_events ORDER BY id')
    return rows.filter((row) => row.session_id === id)
  }
  const kinds = async (id) => (await events(id)).map((row) => row.event_type)
  const statusOf = async (id) => {
    const rows = await file.rows('SELECT session_id, final_status FROM sync_sessions')
    return rows.find((row) => row.session_id === id)?.final_status
  }
  const heardOf = (heard, id) => heard.filter(([one]) => one === id).map(([, state]) => state)

  /** What an instance hears that has nothing to do with expiries. */
  async function listen() {
    const heard = []
    const manager = store.open()
    manager.subscribeToUpdates((id, state) => heard.push([id, state?.version ?? null]))
    await manager.subscribed()
    return heard
  }

  test('a session that expires is told and audited once, however many instances look', async () => {
    const [heard, managers] = [await listen(), [open(), open(), open()]]
    const states = Array.from({ length: 5 }, () => makeState({ status: 'running' }))
    const began = performance.now()
    await Promise.all(states.map((state, n) => managers[n % 3].createSession(state)))
    await until(() => heard.length === 2 * states.length, PATIENCE)
    expect(performance.now() - began).toBeLessThan(1000 + WITHIN)
    for (const { session_id: id } of states) {
      const [created, expired, ...more] = await events(id)
      expect([created.event_type, expired.event_type, more]).toEqual([
        'session_created',
        'session_expired',
        [],
      ])
      expect(expired.state_snapshot).toBeNull()
      expect(await statusOf(id)).toBe('expired')
    }
    await sleep(2500) // As long as a round takes to come: nobody tells a second time.
    for (const { session_id: id } of states) {
      expect(heardOf(heard, id)).toEqual([1, null])
      expect(await kinds(id)).toHaveLength(2)
    }
  }, 30_000)

  test('a session that is kept alive is not told, nor one that is deleted', async () => {
    const [heard, manager] = [await listen(), open({ ttlSeconds: 3 })]
    const [touched, written, deleted] = [makeState(), makeState(), makeState()]
    for (const state of [touched, written, deleted]) await manager.createSession(state)
    await manager.deleteSession(deleted.session_id)
    const end = performance.now() + 6000
    while (performance.now() < end) {
      await manager.touchSession(touched.session_id)
      await manager.updateSession(written.session_id, written)
      await sleep(500)
    }
    expect(heardOf(heard, touched.session_id)).toEqual([1])
    expect(heardOf(heard, written.session_id)).not.toContain(null)
    await until(() => heardOf(heard, touched.session_id).includes(null), PATIENCE)
    await until(() => heardOf(heard, written.session_id).includes(null), PATIENCE)
    expect(heardOf(heard, deleted.session_id)).toEqual([1, null])
    expect(await kinds(touched.session_id)).toEqual(['session_created', 'session_expired'])
    expect(await kinds(deleted.session_id)).toEqual(['session_created', 'session_deleted'])
  }, 40_000)

  test('a session made anew is told in order, and nobody takes it for gone', async () => {
    const manager = open()
    const state = makeState()
    const id = state.session_id
    const heard = await listen()
    for (let life = 1; life <= 3; life++) {
      await manager.createSession(state)
      await until(async () => (await manager.getSession(id)) === null)
    }
    await manager.createSession(state)
    expect(await manager.getSession(id)).not.toBeNull()
    await until(() => heard.length >= 7)
    expect(heardOf(heard, id).slice(0, 7)).toEqual([1, null, 1, null, 1, null, 1])
    const told = (await kinds(id)).slice(0, 7)
    const [created, expired] = ['session_created', 'session_expired']
    expect(told).toEqual([created, expired, created, expired, created, expired, created])
  }, 30_000)

  test('a session that is deleted after it expired was not deleted', async () => {
    const manager = open()
    const state = makeState()
    const id = state.session_id
    await manager.createSession(state)
    await until(async () => (await manager.getSession(id)) === null)
    await manager.deleteSession(id)
    expect(await kinds(id)).toEqual(['session_created', 'session_expired'])
  })

  test('a shorter TTL counts from the next write', async () => {
    const heard = await listen()
    const state = makeState()
    await open({ ttlSeconds: 3600 }).createSession(state)
    await sleep(2500) // A round has put it off.
    await open().updateSession(state.session_id, state)
    await until(() => heardOf(heard, state.session_id).includes(null), 1000 + PATIENCE)
  }, 30_000)

  test('without the option nothing is told, and with it where there is no audit', async () => {
    const heard = await listen()
    const [silent, told] = [makeState(), makeState()]
    await open({ announceExpiry: false }).createSession(silent)
    await store.open({ ttlSeconds: 1, announceExpiry: true }).createSession(told)
    await until(() => heardOf(heard, told.session_id).includes(null), PATIENCE)
    expect(heardOf(heard, silent.session_id)).toEqual([1])
    expect(await kinds(silent.session_id)).toEqual(['session_created'])
  }, 30_000)

  test('managers of different key prefixes tell of their own sessions', async () => {
    const state = makeState()
    const id = state.session_id
    const of = async (keyPrefix) => {
      const heard = []
      const manager = open({ keyPrefix, ttlSeconds: keyPrefix === 'a:' ? 1 : 60 })
      manager.subscribeToUpdates((_id, state) => heard.push(state?.version ?? null))
      await manager.subscribed()
      await manager.createSession(state)
      return heard
    }
    const [a, b] = [await of('a:'), await of('b:')]
    await until(() => a.length === 2, PATIENCE)
    expect([a, b]).toEqual([[1, null], [1]])
    expect(await kinds(id)).toEqual(['session_created', 'session_created', 'session_expired'])
  }, 30_000)

  test('a full backlog is told, and the others are told all the same', async () => {
    const heard = await listen()
    const logger = recordingLogger()
    const full = store.keep(
      new DBWriteQueue(store.url, { queueName: 'full', worker: false, maxBacklog: 1 }),
    )
    const manager = open({ queue: full, logger })
    const state = makeState()
    await manager.createSession(state)
    await until(() => heardOf(heard, state.session_id).includes(null), PATIENCE)
    await until(() => logger.told.error.length > 0)
    const [{ err, count, eventType, message }] = logger.told.error
    expect([err.code, count, eventType]).toEqual(['BACKLOG_FULL', 1, 'session_expired'])
    expect(message).toContain('not queued')
  }, 30_000)

  test('a manager that is closed tells nothing any more, and another one goes on', async () => {
    const heard = await listen()
    const [first, second] = [open(), open()]
    const state = makeState()
    await first.createSession(state)
    await first.close()
    await until(() => heardOf(heard, state.session_id).includes(null), PATIENCE)
    await second.close()
    const third = open()
    const other = makeState()
    await third.createSession(other)
    await third.close()
    await sleep(3500)
    expect(heardOf(heard, other.session_id)).toEqual([1])
    open()
    await until(() => heardOf(heard, other.session_id).includes(null), PATIENCE)
  }, 40_000)

  test('an option that is no boolean is refused', () => {
    expect(() => open({ announceExpiry: 1 })).toThrow(InvalidStateError)
  })
})
