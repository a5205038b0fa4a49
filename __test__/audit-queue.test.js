'use strict'

const { once } = require('node:events')
const { DBWriteQueue, DatabaseError } = require('../index.js')
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

  test('of more than one portion are all retried, and only once', async () => {
    await audit.deploy()
    const queue = audit.queue()
    for (let i = 0; i < 600; i++) queue.queueWrite('no-uuid', running(), 'x')
    await until(async () => (await queue.getMetrics()).failed === 600, 30_000)
    expect(await queue.retryFailed()).toBe(600)
    await until(async () => (await queue.getMetrics()).failed === 600, 30_000)
  }, 60_000)
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

describe('the constructor', () => {
  test.each([
    ['redis', [5]],
    ['url', ['http://localhost']],
    ['options.nonsense', ['redis://localhost', { nonsense: 1 }]],
    ['queueName', ['redis://localhost', { queueName: '' }]],
    ['queueName', ['redis://localhost', { queueName: '\ud800' }]],
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
  ])('refuses a bad %s with a throw (%#)', (field, args) => {
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
