'use strict'

const { once } = require('node:events')
const { DBWriteQueue, DatabaseError, createRedisClient } = require('../index.js')
const { Audit, running } = require('./harness/audit.js')
const { until } = require('./harness/until.js')

const audit = Audit.use()

/** Records that PostgreSQL refuses for their own sake, on the tables of the running services. */
const POISON = [
  ['a NUL in the state', '22P05', (state) => [state.session_id, { ...state, own: '\0' }, 'x']],
  ['a session id that is no UUID', '22P02', (state) => ['session-123', state, 'x']],
  ['an over-long event type', '22001', (state) => [state.session_id, state, 'x'.repeat(51)]],
  [
    'a sync mode that there is not',
    '22P02',
    (state) => [state.session_id, { ...state, sync_mode: 'none' }, 'x'],
  ],
]

test.each(POISON)('%s: a dead letter at once, its neighbours stored', async (_name, code, make) => {
  await audit.deploy()
  const queue = audit.queue({ worker: false })
  const poison = make(running())
  for (let i = 0; i < 1000; i++) {
    if (i === 500) queue.queueWrite(...poison)
    const state = running()
    queue.queueWrite(state.session_id, state, 'session_updated')
  }
  await until(async () => (await queue.getMetrics()).waiting === 1001)
  const worker = audit.queue()
  const [record, error] = await once(worker, 'failed')
  expect(record).toMatchObject({ sessionId: poison[0], eventType: poison[2], attempt: 1 })
  expect(error).toBeInstanceOf(DatabaseError)
  expect(error.sqlstate).toBe(code)
  await queue.drained()
  expect(await audit.events()).toHaveLength(1000)
  expect(await queue.getMetrics()).toEqual({
    waiting: 0,
    active: 0,
    completed: 1000,
    failed: 1,
    delayed: 0,
  })
  const letters = await queue.getFailed()
  expect(letters).toHaveLength(1)
  expect(letters[0]).toMatchObject({
    id: record.id,
    sessionId: poison[0],
    eventType: poison[2],
    attempts: 1,
    sqlstate: code,
    state: poison[1],
  })
  expect(letters[0].error.sqlstate).toBe(code)
  expect(letters[0].failedAt.getTime()).toBeGreaterThanOrEqual(letters[0].queuedAt.getTime())
  expect(audit.logger.told.error).toEqual([
    expect.objectContaining({
      id: record.id,
      message: 'an audit record went to the dead letters',
    }),
  ])
})

describe('dead letters', () => {
  /** Three, oldest first. */
  async function dead() {
    await audit.deploy()
    const queue = audit.queue()
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

  /** Puts letters there, as Redis commands do, each with these fields. */
  async function put(letters) {
    const key = audit.stream.replace(/stream$/, 'dead')
    for (const letter of letters) {
      const fields = { error: 'no', sqlstate: '', attempts: 1, event: 'x', at: 5, ...letter }
      await audit.redis.xadd(key, '*', ...Object.entries(fields).flat())
    }
  }

  test('whose state cannot be read come with its text', async () => {
    const queue = audit.queue({ worker: false })
    const state = running()
    await put([
      { id: 'a', session: 'a', state: JSON.stringify(state) },
      { id: 'b', session: 'b', state: '{"half' },
      { id: 'c', session: 'c' },
    ])
    const states = (await queue.getFailed()).map(({ id, state, rawState }) => [id, state, rawState])
    expect(states).toEqual([
      ['c', null, null],
      ['b', null, '{"half'],
      ['a', state, null],
    ])
  })

  test.each([
    ['small', 1200, 10],
    ['large', 40, 400_000],
  ])(
    'that are many and %s are read in portions, none of which blocks Redis for long',
    async (_size, count, bytes) => {
      const queue = audit.queue({ worker: false })
      const state = JSON.stringify({ own: 'x'.repeat(bytes) })
      await put(Array.from({ length: count }, (_, n) => ({ id: `id-${n}`, session: 's', state })))
      const page = { offset: count - 20, limit: 15 }
      const letters = () => queue.getFailed(page).then((all) => all.map(({ id }) => id))
      const expected = Array.from({ length: 15 }, (_, n) => `id-${19 - n}`)
      expect(await letters()).toEqual(expected)
      const calls = async () =>
        Number(/cmdstat_evalsha:calls=(\d+)/.exec(await audit.redis.info('commandstats'))[1])
      const before = await calls()
      expect(await letters()).toEqual(expected)
      expect((await calls()) - before).toBeGreaterThan(2)
    },
  )

  test('are stored once when retried twice after the cause is gone', async () => {
    const { queue, ids } = await dead()
    await audit.rows('ALTER TABLE sync_events ALTER session_id TYPE text')
    await audit.rows('ALTER TABLE sync_sessions ALTER session_id TYPE text')
    expect(await Promise.all([queue.retryFailed([ids[1]]), queue.retryFailed([ids[1]])])).toEqual(
      expect.arrayContaining([0, 1]),
    )
    await queue.drained()
    expect((await audit.events()).map((event) => event.id)).toEqual([ids[1]])
    expect(await queue.retryFailed()).toBe(2)
    expect(await queue.retryFailed()).toBe(0)
    await queue.drained()
    expect((await audit.events()).map((event) => event.id).sort()).toEqual([...ids].sort())
    expect(await queue.getMetrics()).toMatchObject({ completed: 3, failed: 0 })
  })

  test('that fail again are dead again, once', async () => {
    const { queue, ids } = await dead()
    const failed = once(queue, 'failed')
    expect(await queue.retryFailed([ids[0]])).toBe(1)
    await failed
    expect((await queue.getFailed()).map((letter) => letter.id)).toEqual([ids[0], ids[2], ids[1]])
  })

  test('of more than one portion are all retried, and only once', async () => {
    await audit.deploy()
    const queue = audit.queue()
    for (let i = 0; i < 600; i++) queue.queueWrite('no-uuid', running(), 'x')
    await until(async () => (await queue.getMetrics()).failed === 600, 30_000)
    expect(await queue.retryFailed()).toBe(600)
    await until(async () => (await queue.getMetrics()).failed === 600, 30_000)
  }, 60_000)

  test('can be thrown away', async () => {
    const { queue, ids } = await dead()
    expect(await queue.removeFailed([ids[0], ids[2], 'nobody'])).toBe(2)
    expect((await queue.getFailed()).map((letter) => letter.id)).toEqual([ids[1]])
    expect(await queue.retryFailed([ids[0]])).toBe(0)
  })
})

test('a failure that is nobody’s clear fault is tried so often, then dead', async () => {
  const queue = audit.queue({ attempts: 3, backoffDelay: 20 })
  await queue.migrate()
  await audit.rows(
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN IF NEW.event_type = 'x' THEN RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END $$;
     CREATE TRIGGER refuse BEFORE INSERT ON sync_events FOR EACH ROW EXECUTE FUNCTION refuse()`,
  )
  const tries = []
  queue.on('retrying', (record, error) => tries.push([record.attempt, error.sqlstate]))
  const failed = once(queue, 'failed')
  const state = running()
  for (const type of ['a', 'x', 'b']) queue.queueWrite(state.session_id, state, type)
  const [record, error] = await failed
  expect(record).toMatchObject({ eventType: 'x', attempt: 3 })
  expect(error).toMatchObject({ sqlstate: 'P0001', message: 'PostgreSQL: not this one' })
  expect(tries).toEqual([
    [2, 'P0001'],
    [3, 'P0001'],
  ])
  await queue.drained()
  expect((await audit.events()).map((event) => event.event_type).sort()).toEqual(['a', 'b'])
  expect(await queue.getMetrics()).toMatchObject({ completed: 2, failed: 1, delayed: 0, active: 0 })
})

test('each record is told of on its way', async () => {
  const queue = audit.queue()
  await queue.migrate()
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
  const queue = audit.queue()
  await queue.migrate()
  queue.once('completed', () => {
    throw new Error('mine')
  })
  queue.once('drained', async () => {
    throw new Error('mine, later')
  })
  const state = running()
  await queue.queueWrite(state.session_id, state, 'x')
  await until(() => audit.logger.told.error.length === 2)
  expect(audit.logger.told.error.map(({ err, message }) => [err.message, message])).toEqual([
    ['mine', 'a listener of the queue failed'],
    ['mine, later', 'a listener of the queue failed'],
  ])
  await queue.queueWrite(state.session_id, state, 'y')
  await queue.drained()
  expect(await audit.events()).toHaveLength(2)
})

describe('maxBacklog', () => {
  test('past it queueWrite rejects, and the manager writes on and reports it', async () => {
    const queue = audit.queue({ worker: false, maxBacklog: 2 })
    const manager = audit.manage(queue, { logger: audit.logger })
    const state = running()
    const id = state.session_id
    await manager.createSession(state)
    await queue.queueWrite(id, state, 'x')
    await expect(queue.queueWrite(id, state, 'y')).rejects.toMatchObject({
      name: 'BacklogFullError',
      code: 'BACKLOG_FULL',
      sessionId: id,
      maxBacklog: 2,
    })
    await manager.updateSession(id, state, 1)
    expect((await manager.modifySession(id, (s) => s)).version).toBe(3)
    await manager.deleteSession(id)
    expect(await manager.getSession(id)).toBeNull()
    await manager.createSession(state)
    expect(await audit.left()).toBe(2)
    expect(audit.logger.told.error.map(({ err, eventType }) => [err.code, eventType])).toEqual([
      ['BACKLOG_FULL', 'session_updated'],
      ['BACKLOG_FULL', 'session_updated'],
      ['BACKLOG_FULL', 'session_deleted'],
      ['BACKLOG_FULL', 'session_created'],
    ])
  })
})

describe('a Redis that may lose records', () => {
  afterEach(() => audit.redis.config('SET', 'maxmemory-policy', 'noeviction', 'appendonly', 'yes'))

  test('is warned of', async () => {
    await audit.redis.config('SET', 'maxmemory-policy', 'allkeys-lru', 'appendonly', 'no')
    audit.queue()
    await until(() => audit.logger.told.warn.length === 2)
    expect(audit.logger.told.warn.map(({ message }) => message)).toEqual([
      expect.stringContaining('maxmemory-policy allkeys-lru'),
      expect.stringContaining('persists nothing'),
    ])
  })
})

test('a client that is passed in is shared and stays its owner’s', async () => {
  const client = createRedisClient(audit.server.url)
  const { databaseUrl, queueName } = audit
  const queue = new DBWriteQueue(client, { databaseUrl, queueName, worker: false })
  const state = running()
  await queue.queueWrite(state.session_id, state, 'x')
  await queue.close()
  expect(await client.ping()).toBe('PONG')
  const second = new DBWriteQueue(client, { databaseUrl, queueName })
  await client.quit()
  await expect(second.getMetrics()).rejects.toMatchObject({ code: 'CLOSED' })
  await second.close()
})

test('after close every call rejects, and close may be called again', async () => {
  const queue = audit.queue()
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
    const queue = audit.queue({ worker: false })
    await expect(call(queue, running())).rejects.toMatchObject({ code: 'INVALID_STATE', field })
    expect(await audit.left()).toBe(0)
  })

  test.each([
    ['redis', [5]],
    ['url', ['http://localhost']],
    ['options.nonsense', ['redis://localhost', { nonsense: 1 }]],
    ['queueName', ['redis://localhost', { queueName: '' }]],
    ['attempts', ['redis://localhost', { attempts: 0 }]],
    ['backoffDelay', ['redis://localhost', { backoffDelay: -1 }]],
    ['batchSize', ['redis://localhost', { batchSize: 5001 }]],
    ['maxBacklog', ['redis://localhost', { maxBacklog: 0 }]],
    ['worker', ['redis://localhost', { worker: 'yes' }]],
    ['poolMin', ['redis://localhost', { poolMin: 3, poolMax: 2 }]],
    ['ssl', ['redis://localhost', { ssl: 'yes' }]],
    ['databaseUrl', ['redis://localhost', { databaseUrl: 'http://u:secret@h/d' }]],
    ['databaseUrl', ['redis://localhost', { databaseUrl: 5 }]],
    ['logger', ['redis://localhost', { logger: {} }]],
  ])('%s: the constructor throws (%#)', (field, args) => {
    let error
    try {
      new DBWriteQueue(...args)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toMatchObject({ code: 'INVALID_STATE', field })
    expect(error.message).not.toContain('secret')
  })

  test('the environment is named where it is at fault', () => {
    const before = process.env.DATABASE_POOL_MAX
    process.env.DATABASE_POOL_MAX = 'many'
    try {
      expect(() => new DBWriteQueue('redis://localhost')).toThrow('DATABASE_POOL_MAX')
    } finally {
      if (before === undefined) delete process.env.DATABASE_POOL_MAX
      else process.env.DATABASE_POOL_MAX = before
    }
  })
})

test('DATABASE_URL, then the PG variables, say where PostgreSQL is', async () => {
  const { hostname, port, pathname } = new URL(audit.databaseUrl)
  const variables = {
    PGHOST: hostname,
    PGPORT: port,
    PGUSER: 'postgres',
    PGDATABASE: pathname.slice(1),
  }
  for (const set of [{ DATABASE_URL: audit.databaseUrl }, variables]) {
    const before = { ...process.env }
    Object.assign(process.env, set)
    try {
      await audit.queue({ databaseUrl: undefined, worker: false }).migrate()
    } finally {
      for (const name of Object.keys(set)) delete process.env[name]
      Object.assign(process.env, before)
    }
  }
  await expect(
    audit.queue({ databaseUrl: 'postgres://postgres@127.0.0.1:1/none', worker: false }).migrate(),
  ).rejects.toMatchObject({ name: 'DatabaseError', code: 'DATABASE_ERROR', sqlstate: null })
})
