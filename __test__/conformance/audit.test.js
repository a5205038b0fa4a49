'use strict'

const { once } = require('node:events')
const { DBWriteQueue, createRedisClient } = require('../../index.js')
const { engines } = require('../harness/engines.js')
const { recordingLogger } = require('../harness/recording-logger.js')
const { makeState } = require('../harness/sessions.js')
const { SqliteFile } = require('../harness/sqlite.js')
const { until } = require('../harness/until.js')

/** A session as services have it while it runs. */
const running = (overrides) => makeState({ status: 'running', ...overrides })

describe.each(engines)('$engine', ({ use }) => {
  const store = use()
  let file
  let logger
  beforeEach(() => {
    file = store.keep(new SqliteFile())
    logger = recordingLogger()
  })

  /** A queue that is closed after the test, which stores in the test's file. */
  function open(options = {}) {
    const migrate = options.worker !== false
    const settings = { databaseUrl: file.url, migrate, backoffDelay: 20, logger }
    return store.keep(new DBWriteQueue(store.url, { ...settings, ...options }))
  }

  /** What is stored, in the order of the changes. */
  const events = () => file.rows('SELECT * FROM sync_events ORDER BY id')

  /** How many records wait. */
  const waiting = async (queue) => (await queue.getMetrics()).waiting

  /** Makes the database refuse events of the type x. */
  async function refuse(queue) {
    await queue.migrate()
    await file.run(
      `CREATE TRIGGER refuse BEFORE INSERT ON sync_events WHEN NEW.event_type = 'x'
       BEGIN SELECT RAISE(ABORT, 'not this one'); END`,
    )
  }

  test('create, update and delete leave their rows, in order, with the state as it was', async () => {
    const queue = open()
    const manager = store.open({ queue })
    const created = running({ own: { list: [], big: 2 ** 53 - 1, text: 'ü"\\' } })
    const id = created.session_id
    await manager.createSession(created)
    const first = await manager.getSession(id)
    await manager.updateSession(id, { ...first, status: 'paused' }, 1)
    const second = await manager.getSession(id)
    await manager.deleteSession(id)
    await queue.drained()
    const stored = (await events()).map((event) => [
      event.session_id,
      event.event_type,
      JSON.parse(event.state_snapshot),
    ])
    expect(stored).toEqual([
      [id, 'session_created', JSON.parse(JSON.stringify(first))],
      [id, 'session_updated', JSON.parse(JSON.stringify(second))],
      [id, 'session_deleted', null],
    ])
    const [session] = await file.rows('SELECT * FROM sync_sessions')
    expect(session).toMatchObject({ session_id: id, final_status: 'paused' })
  })

  test('two workers share the records, and each is stored once', async () => {
    const [one, other] = [open({ batchSize: 10 }), open({ batchSize: 10 })]
    const shares = [0, 0]
    one.on('completed', () => shares[0]++)
    other.on('completed', () => shares[1]++)
    await Promise.all(
      Array.from({ length: 400 }, () => one.queueWrite(crypto.randomUUID(), running(), 'e')),
    )
    await one.drained()
    await until(() => shares[0] + shares[1] === 400)
    expect(await file.events()).toEqual({ stored: 400, ids: 400 })
    expect(await one.getMetrics()).toEqual({
      waiting: 0,
      active: 0,
      completed: 400,
      failed: 0,
      delayed: 0,
    })
  })

  test('what a worker has not stored when it is closed, the next one stores', async () => {
    const writer = open({ worker: false })
    await writer.migrate()
    await file.lock()
    const first = open({ migrate: false })
    await writer.queueWrite('s', running(), 'e')
    await until(async () => (await writer.getMetrics()).waiting === 0)
    await first.close()
    await file.unlock()
    open()
    await writer.drained()
    expect(await events()).toHaveLength(1)
  })

  describe('dead letters', () => {
    /** Three, oldest first. */
    async function dead() {
      const queue = open()
      await refuse(queue)
      const ids = []
      for (const name of ['a', 'b', 'c']) {
        const failed = once(queue, 'failed')
        await queue.queueWrite(name, running(), 'x')
        const [{ id }] = await failed
        ids.push(id)
      }
      return { queue, ids }
    }

    test('come newest first, by page', async () => {
      const { queue } = await dead()
      const names = async (page) => (await queue.getFailed(page)).map((letter) => letter.sessionId)
      expect(await names()).toEqual(['c', 'b', 'a'])
      expect(await names({ limit: 2 })).toEqual(['c', 'b'])
      expect(await names({ offset: 2, limit: 2 })).toEqual(['a'])
      expect(await names({ offset: 3 })).toEqual([])
      expect(await names({ limit: 0 })).toEqual([])
    })

    test('are stored once when retried twice after the cause is gone', async () => {
      const { queue, ids } = await dead()
      await file.run('DROP TRIGGER refuse')
      expect(await Promise.all([queue.retryFailed([ids[1]]), queue.retryFailed([ids[1]])])).toEqual(
        expect.arrayContaining([0, 1]),
      )
      await queue.drained()
      expect((await events()).map((event) => event.id)).toEqual([ids[1]])
      expect(await queue.retryFailed()).toBe(2)
      expect(await queue.retryFailed()).toBe(0)
      await queue.drained()
      expect((await events()).map((event) => event.id).sort()).toEqual([...ids].sort())
      expect(await queue.getMetrics()).toMatchObject({ completed: 3, failed: 0 })
    })

    test('that fail again are dead again, once', async () => {
      const { queue, ids } = await dead()
      const failed = once(queue, 'failed')
      expect(await queue.retryFailed([ids[0]])).toBe(1)
      await failed
      expect((await queue.getFailed()).map((letter) => letter.id)).toEqual([ids[0], ids[2], ids[1]])
    })

    test('can be thrown away', async () => {
      const { queue, ids } = await dead()
      expect(await queue.removeFailed([ids[0], ids[2], 'nobody'])).toBe(2)
      expect((await queue.getFailed()).map((letter) => letter.id)).toEqual([ids[1]])
      expect(await queue.retryFailed([ids[0]])).toBe(0)
    })
  })

  test('a record that the database refuses is dead at once, its neighbours are stored', async () => {
    const queue = open()
    await refuse(queue)
    const failed = once(queue, 'failed')
    const state = running()
    for (const type of ['a', 'x', 'b']) queue.queueWrite(state.session_id, state, type)
    const [record] = await failed
    expect(record).toMatchObject({ eventType: 'x', attempt: 1 })
    await queue.drained()
    expect((await events()).map((event) => event.event_type)).toEqual(['a', 'b'])
    const [letter] = await queue.getFailed()
    expect(letter).toMatchObject({ id: record.id, eventType: 'x', attempts: 1, state })
    expect(await queue.getMetrics()).toMatchObject({
      completed: 2,
      failed: 1,
      delayed: 0,
      active: 0,
    })
  })

  test('each record is told of on its way', async () => {
    const queue = open()
    const told = []
    for (const name of ['active', 'completed', 'retrying', 'failed', 'drained']) {
      queue.on(name, (record) => told.push([name, record?.eventType]))
    }
    const removed = () => told.push(['removed'])
    queue.on('completed', removed).off('completed', removed)
    const state = running()
    const drained = once(queue, 'drained')
    await queue.queueWrite(state.session_id, state, 'x')
    await drained
    expect(told).toEqual([
      ['active', 'x'],
      ['completed', 'x'],
      ['drained', undefined],
    ])
  })

  test('a listener that throws or rejects is reported, and the worker goes on', async () => {
    const queue = open()
    queue.once('completed', () => {
      throw new Error('mine')
    })
    queue.once('drained', async () => {
      throw new Error('mine, later')
    })
    const state = running()
    await queue.queueWrite(state.session_id, state, 'x')
    await until(() => logger.told.error.length === 2)
    expect(logger.told.error.map(({ err, message }) => [err.message, message])).toEqual([
      ['mine', 'a listener of the queue failed'],
      ['mine, later', 'a listener of the queue failed'],
    ])
    await queue.queueWrite(state.session_id, state, 'y')
    await queue.drained()
    expect(await events()).toHaveLength(2)
  })

  test('after close every call rejects, and close may be called again', async () => {
    const queue = open()
    await queue.close()
    await queue.close()
    await queue.close(true)
    const state = running()
    for (const call of [
      () => queue.queueWrite(state.session_id, state, 'x'),
      () => queue.getMetrics(),
      () => queue.getFailed(),
      () => queue.retryFailed(),
      () => queue.removeFailed([]),
      () => queue.migrate(),
      () => queue.drained(),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'CLOSED' })
    }
  })

  test('a client that is passed in is shared and stays its owner’s', async () => {
    const client = createRedisClient(store.url)
    const databaseUrl = file.url
    const queue = new DBWriteQueue(client, { databaseUrl, worker: false })
    const state = running()
    await queue.queueWrite(state.session_id, state, 'x')
    await queue.close()
    expect(await client.ping()).toBe('PONG')
    const second = new DBWriteQueue(client, { databaseUrl })
    await client.quit()
    await expect(second.getMetrics()).rejects.toMatchObject({ code: 'CLOSED' })
    await second.close()
  })

  describe('maxBacklog', () => {
    test('past it queueWrite rejects, and the manager writes on and reports it', async () => {
      // All records of a session are in one partition, which may have its share of the limit.
      const maxBacklog = 2 * store.partitions
      const queue = open({ worker: false, maxBacklog })
      const manager = store.open({ queue, logger })
      const state = running()
      const id = state.session_id
      await manager.createSession(state)
      await queue.queueWrite(id, state, 'x')
      await expect(queue.queueWrite(id, state, 'y')).rejects.toMatchObject({
        name: 'BacklogFullError',
        code: 'BACKLOG_FULL',
        sessionId: id,
        maxBacklog,
      })
      await manager.updateSession(id, state, 1)
      expect((await manager.modifySession(id, (s) => s)).version).toBe(3)
      await manager.deleteSession(id)
      expect(await manager.getSession(id)).toBeNull()
      await manager.createSession(state)
      expect(await waiting(queue)).toBe(2)
      expect(logger.told.error.map(({ err, eventType }) => [err.code, eventType])).toEqual([
        ['BACKLOG_FULL', 'session_updated'],
        ['BACKLOG_FULL', 'session_updated'],
        ['BACKLOG_FULL', 'session_deleted'],
        ['BACKLOG_FULL', 'session_created'],
      ])
    })
  })

  test('a change that was refused leaves no record; nor does deleting nothing', async () => {
    const queue = open({ worker: false })
    const manager = store.open({ queue })
    const state = running()
    await manager.createSession(state)
    await expect(manager.updateSession(state.session_id, state, 7)).rejects.toMatchObject({
      code: 'CONCURRENT_MODIFICATION',
    })
    await expect(manager.createSession(state, { ifAbsent: true })).rejects.toMatchObject({
      code: 'SESSION_EXISTS',
    })
    await manager.deleteSession('nobody')
    expect(await waiting(queue)).toBe(1)
  })

  describe('bad input', () => {
    test.each([
      ['session_id', (queue, state) => queue.queueWrite('', state, 'x')],
      ['session_id', (queue, state) => queue.queueWrite(5, state, 'x')],
      ['session_id', (queue, state) => queue.queueWrite('x'.repeat(513), state, 'x')],
      ['state', (queue) => queue.queueWrite('a', 'text', 'x')],
      ['state', (queue) => queue.queueWrite('a', undefined, 'x')],
      ['when', (queue, state) => queue.queueWrite('a', { ...state, when: new Date('') }, 'x')],
      ['eventType', (queue, state) => queue.queueWrite('a', state, '')],
      ['eventType', (queue, state) => queue.queueWrite('a', state)],
      ['offset', (queue) => queue.getFailed({ offset: -1 })],
      ['limit', (queue) => queue.getFailed({ limit: '5' })],
      ['limit', (queue) => queue.getFailed({ limit: 1001 })],
      ['ids', (queue) => queue.retryFailed('all')],
      ['ids', (queue) => queue.removeFailed([5])],
      ['ids', (queue) => queue.removeFailed()],
    ])('%s: the promise rejects, and nothing is queued (%#)', async (field, call) => {
      const queue = open({ worker: false })
      await expect(call(queue, running())).rejects.toMatchObject({ code: 'INVALID_STATE', field })
      expect(await waiting(queue)).toBe(0)
    })
  })
})
