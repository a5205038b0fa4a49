'use strict'

// The commands, each as a process of its own, on a Redis and a SQLite file.

const os = require('node:os')
const { Queue } = require('bullmq')
const { Audit } = require('./harness/audit.js')
const { run, runJson, start } = require('./harness/command-line.js')
const { createdBy, makeState } = require('./harness/sessions.js')
const { SqliteFile } = require('./harness/sqlite.js')
const { until } = require('./harness/until.js')

const audit = Audit.use({ postgres: false })
let file
let env
beforeEach(() => {
  file = audit.keep(new SqliteFile())
  audit.databaseUrl = file.url
  env = { REDIS_URL: audit.server.url, DATABASE_URL: file.url }
})
afterEach(() => audit.redis.flushall())

/** The command on this test's queue. */
const call = (...args) => run([...args, '--queue', audit.queueName], env)
const callJson = (...args) => runJson([...args, '--queue', audit.queueName], env)

/** A queue with a worker, and a manager on it. */
async function service() {
  const queue = audit.queue()
  await queue.migrate()
  return { queue, manager: audit.manage(queue) }
}

/** A session of three versions, all of which are in the database. */
async function played() {
  const { queue, manager } = await service()
  const { session_id: id } = await createdBy(manager, { count: 1 })
  await manager.modifySession(id, (state) => ({ ...state, count: 2 }))
  const why = { actor: 'alice', event: 'moved' }
  await manager.modifySession(id, (state) => ({ ...state, count: 3 }), why)
  await queue.drained()
  return { queue, manager, id }
}

/** A queue with so many dead letters, each of another session. */
async function refused(count) {
  const { queue, manager } = await service()
  await file.run(
    `CREATE TRIGGER refuse BEFORE INSERT ON sync_events WHEN NEW.event_type = 'x'
     BEGIN SELECT RAISE(ABORT, 'no x'); END`,
  )
  for (let n = 0; n < count; n++) await queue.queueWrite(`s${n}`, makeState(), 'x')
  await until(async () => (await queue.getMetrics()).failed === count)
  return { queue, manager }
}

describe('status', () => {
  test('tells servers, backlog and database', async () => {
    const { queue } = await service()
    await queue.queueWrite('a', makeState(), 'x')
    await queue.drained()
    const { code, json } = await callJson('status')
    expect(json).toMatchObject({
      ready: true,
      redis: {
        address: `127.0.0.1:${audit.server.port}`,
        topology: 'one server',
        nodes: [
          { role: 'master', appendOnly: true, appendFsync: 'always', evictionPolicy: 'noeviction' },
        ],
      },
      queue: {
        name: audit.queueName,
        waiting: 0,
        stored: 1,
        dead: 0,
        oldestAgeMs: null,
        lastStoredAt: expect.any(String),
        workers: [{ host: os.hostname(), claimed: 0 }],
      },
      database: { database: file.url, error: null },
    })
    expect(code).toBe(0)
  })

  test('counts who listens for updates', async () => {
    const { manager } = await service()
    manager.subscribeToUpdates(() => {})
    await manager.subscribed()
    expect((await callJson('status')).json.redis.subscribers).toBe(1)
  })

  test('tells dead letters by SQLSTATE', async () => {
    await refused(2)
    const { json } = await callJson('status')
    expect(json.queue.deadBySqlstate).toEqual({ SQLITE_CONSTRAINT: 2 })
  })

  test('is not ready while records wait and nobody stores them', async () => {
    await audit.queue({ worker: false }).migrate()
    await audit.redis.xadd(audit.stream, `${Date.now() - 120_000}-0`, 'session', 'a')
    const { code, json } = await callJson('status')
    expect(json).toMatchObject({ ready: false, queue: { waiting: 1, workers: [] } })
    expect(json.queue.oldestAgeMs).toBeGreaterThanOrEqual(120_000)
    expect(json.reasons).toContainEqual(expect.stringMatching(/no worker was heard of/))
    expect(code).toBe(3)
  })

  test('is not ready with a database that cannot be used', async () => {
    env.DATABASE_URL = 'sqlite:/no/such/directory/audit.db'
    const { code, json } = await callJson('status')
    expect(json).toMatchObject({
      ready: false,
      database: { error: expect.stringContaining('/no/such') },
    })
    expect(code).toBe(3)
  })
})

describe('session', () => {
  test('shows the state, its TTL, and that the audit agrees', async () => {
    const { id, manager } = await played()
    const { code, json } = await callJson('session', id)
    expect(json).toMatchObject({
      sessionId: id,
      error: null,
      audit: { agrees: true, version: 3, eventType: 'moved', differing: [] },
    })
    expect(json.state).toEqual(JSON.parse(JSON.stringify(await manager.getSession(id))))
    expect(json.ttlMs).toBeGreaterThan(3_500_000)
    expect(json.ttlMs).toBeLessThanOrEqual(3_600_000)
    expect(code).toBe(0)
  })

  test('shows which values somebody has changed behind its back', async () => {
    const { id } = await played()
    const text = await audit.redis.get(`session:${id}`)
    await audit.redis.set(`session:${id}`, text.replace('"count":3', '"count":4'))
    const { code, json } = await callJson('session', id)
    expect(json.audit).toMatchObject({ agrees: false, differing: ['count'] })
    expect(code).toBe(3)
  })

  test('says that Redis has lost it', async () => {
    const { id } = await played()
    await audit.redis.del(`session:${id}`)
    const { code, json } = await callJson('session', id)
    expect(json).toMatchObject({ state: null, ttlMs: null, audit: { agrees: false, version: 3 } })
    expect(code).toBe(3)
  })

  test('agrees that a deleted one is gone', async () => {
    const { id, manager, queue } = await played()
    await manager.deleteSession(id)
    await queue.drained()
    const { code, json } = await callJson('session', id)
    expect(json).toMatchObject({
      state: null,
      audit: { agrees: true, eventType: 'session_deleted' },
    })
    expect(code).toBe(1)
  })

  test('says what is no session', async () => {
    await service()
    await audit.redis.set('session:broken', 'no JSON')
    const { code, json } = await callJson('session', 'broken')
    expect(json.error).toMatch(/broken/)
    expect(code).toBe(3)
  })

  test('reads another key prefix', async () => {
    const { queue } = await service()
    const { session_id: id } = await createdBy(audit.manage(queue, { keyPrefix: 'app:' }))
    await queue.drained()
    expect(await callJson('session', id, '--key-prefix', 'app:')).toMatchObject({ code: 0 })
    expect((await callJson('session', id)).json.state).toBe(null)
  })
})

describe('history and diff', () => {
  test('list the events, and what differs between versions', async () => {
    const { id } = await played()
    const { code, json } = await callJson('history', id, '--limit', '2')
    expect(json).toMatchObject([
      { version: 3, eventType: 'moved', actor: 'alice' },
      { version: 2, eventType: 'session_updated', actor: null },
    ])
    expect(code).toBe(0)
    const older = await callJson('history', id, '--before', json[1].id)
    expect(older.json).toMatchObject([{ version: 1, eventType: 'session_created' }])
    const { json: difference } = await callJson('diff', id, '1', '3')
    expect(difference.changes).toContainEqual({ path: 'count', from: 1, to: 3 })
    expect(difference.changes.map(({ path }) => path).sort()).toEqual([
      'count',
      'updated_at',
      'version',
    ])
  })

  test('fail for what the audit does not know', async () => {
    const { id } = await played()
    expect(await call('history', 'nobody')).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/no events/),
    })
    expect(await call('diff', id, '1', '9')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/version 9/),
    })
  })
})

describe('watch', () => {
  test('shows each change in a line, until there were enough', async () => {
    const { manager } = await service()
    const { session_id: id } = await createdBy(manager, { count: 1 })
    const watching = start(['watch', id, '--limit', '2', '--json'], env)
    await until(async () => (await audit.redis.pubsub('NUMSUB', 'session-updates'))[1] === 1)
    await createdBy(manager)
    await manager.modifySession(id, (state) => ({ ...state, count: 2 }))
    await manager.deleteSession(id)
    const { code, stdout } = await watching.ended
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(events).toMatchObject([
      { sessionId: id, deleted: false, version: 2, state: { count: 2 } },
      { sessionId: id, deleted: true, version: null, state: null },
    ])
    expect(code).toBe(0)
  })

  test('ends cleanly with Ctrl-C', async () => {
    const watching = start(['watch'], env)
    await until(() => watching.output.stderr.includes('listening'))
    watching.child.kill('SIGINT')
    expect(await watching.ended).toMatchObject({ code: 0, signal: null, stdout: '' })
  })

  test('ends when nobody reads any more', async () => {
    const { manager } = await service()
    const watching = start(['watch'], env)
    await until(() => watching.output.stderr.includes('listening'))
    watching.child.stdout.destroy()
    const ended = watching.ended.then(() => true)
    const writing = until(async () => {
      await createdBy(manager)
      return Promise.race([ended, false])
    })
    await writing
    expect(await watching.ended).toMatchObject({ code: 0, signal: null, stderr: 'listening\n' })
  })
})

describe('dead', () => {
  test('lists, and shows one with its state', async () => {
    await refused(3)
    const { code, json } = await callJson('dead', 'list', '--limit', '2')
    expect(json).toMatchObject([{ sessionId: 's2', eventType: 'x' }, { sessionId: 's1' }])
    expect(json[0].state).toBeUndefined()
    expect(code).toBe(3)
    const shown = await callJson('dead', 'show', json[0].id)
    expect(shown.json).toMatchObject({ sessionId: 's2', state: { sync_mode: 'per_participant' } })
    expect(await callJson('dead', 'list', '--by', '22001')).toMatchObject({ code: 0, json: [] })
  })

  test('queues a canary again, then the others; nothing without --yes', async () => {
    const { queue } = await refused(3)
    expect(await callJson('dead', 'retry')).toMatchObject({ code: 4, json: { letters: 3 } })
    expect(await queue.getMetrics()).toMatchObject({ failed: 3 })
    await file.run('DROP TRIGGER refuse')
    const by = ['--by', 'SQLITE_CONSTRAINT']
    const canary = await callJson('dead', 'retry', ...by, '--limit', '1', '--yes')
    expect(canary).toMatchObject({ code: 0, json: { queued: 1 } })
    await until(async () => (await queue.getMetrics()).completed === 1)
    expect(await queue.getMetrics()).toMatchObject({ failed: 2 })
    expect(await callJson('dead', 'retry', ...by, '--yes')).toMatchObject({ json: { queued: 2 } })
    await until(async () => (await queue.getMetrics()).completed === 3)
  })

  test('queues all again', async () => {
    const { queue } = await refused(3)
    await file.run('DROP TRIGGER refuse')
    expect(await callJson('dead', 'retry', '--yes')).toMatchObject({ code: 0, json: { queued: 3 } })
    await until(async () => (await queue.getMetrics()).completed === 3)
    expect(await callJson('dead', 'retry')).toMatchObject({ code: 0, json: { queued: 0 } })
  })

  test('removes those with an id; never all of them', async () => {
    const { queue } = await refused(2)
    expect(await call('dead', 'remove', '--yes')).toMatchObject({ code: 2 })
    const [{ id }] = (await callJson('dead', 'list')).json
    expect(await callJson('dead', 'remove', id)).toMatchObject({ code: 4 })
    expect(await callJson('dead', 'remove', id, '--yes')).toMatchObject({
      code: 0,
      json: { removed: 1 },
    })
    expect((await queue.getFailed()).map(({ sessionId }) => sessionId)).toEqual(['s0'])
  })
})

describe('restore', () => {
  test('writes a version back, and says who did it; nothing without --yes', async () => {
    const { id, manager, queue } = await played()
    expect(await callJson('restore', id, '--version', '1')).toMatchObject({
      code: 4,
      json: { version: 1, state: { count: 1 } },
    })
    expect(await manager.getSession(id)).toMatchObject({ version: 3, count: 3 })
    const { code, json } = await callJson(
      'restore',
      id,
      '--version',
      '1',
      '--actor',
      'bob',
      '--yes',
    )
    expect(json).toMatchObject({ version: 4, state: { count: 1 } })
    expect(code).toBe(0)
    expect(await manager.getSession(id)).toMatchObject({ version: 4, count: 1 })
    await queue.drained()
    const [event] = await queue.history(id, { limit: 1 })
    expect(event).toMatchObject({ eventType: 'session_restored', actor: 'bob' })
  })

  test.each([[[]], [['--yes']]])('fails for what the audit does not have: %j', async (yes) => {
    const { id } = await played()
    expect(await call('restore', id, '--version', '9', ...yes)).toMatchObject({ code: 1 })
    expect(await call('restore', 'nobody', ...yes)).toMatchObject({ code: 1 })
  })

  test('brings all sessions back that Redis has lost', async () => {
    const { id, manager } = await played()
    await audit.redis.del(`session:${id}`)
    const counts = { found: 1, restored: 1, failed: 0 }
    const restore = (...options) => callJson('restore', '--since', '1h', ...options)
    expect(await restore()).toMatchObject({ code: 4, json: { dryRun: true, ...counts } })
    expect(await restore('--dry-run')).toMatchObject({ code: 0, json: { dryRun: true, ...counts } })
    expect(await manager.getSession(id)).toBe(null)
    expect(await restore('--yes')).toMatchObject({ code: 0, json: { dryRun: false, ...counts } })
    expect(await manager.getSession(id)).toMatchObject({ count: 3 })
  })
})

describe('drain', () => {
  test('waits until all is stored', async () => {
    const producer = audit.queue({ worker: false })
    await producer.migrate()
    for (let n = 0; n < 50; n++) await producer.queueWrite(`s${n}`, makeState(), 'y')
    const draining = start(['drain', '--queue', audit.queueName, '--json'], env)
    audit.queue()
    const { code, stdout } = await draining.ended
    expect(JSON.parse(stdout)).toMatchObject({ drained: true, left: 0 })
    expect(code).toBe(0)
    expect(await producer.getMetrics()).toMatchObject({ waiting: 0, completed: 50 })
  })

  test('gives up after --for', async () => {
    const producer = audit.queue({ worker: false })
    await producer.queueWrite('a', makeState(), 'y')
    expect(await callJson('drain', '--for', '1')).toMatchObject({
      code: 3,
      json: { drained: false, left: 1 },
    })
  })

  test('ends with Ctrl-C', async () => {
    await audit.queue({ worker: false }).queueWrite('a', makeState(), 'y')
    const connections = async () => (await audit.redis.client('LIST')).split('\n').length
    const before = await connections()
    const draining = start(['drain', '--queue', audit.queueName], env)
    await until(async () => (await connections()) > before)
    draining.child.kill('SIGINT')
    expect(await draining.ended).toMatchObject({ code: 130, signal: null, stdout: '', stderr: '' })
  })
})

test('adopt-bullmq counts the jobs, and moves them with --yes', async () => {
  const { hostname: host, port } = new URL(audit.server.url)
  const old = new Queue(audit.queueName, { connection: { host, port: Number(port) } })
  audit.keep(old)
  const state = makeState()
  await old.add('write', { sessionId: 'old', state, eventType: 'x', timestamp: Date.now() })
  const told = await callJson('adopt-bullmq')
  expect(told).toMatchObject({ code: 4, json: { jobs: { wait: 1, failed: 0 } } })
  expect(await callJson('adopt-bullmq', '--yes')).toMatchObject({
    code: 0,
    json: { adopted: 1, skipped: [] },
  })
  expect(await callJson('adopt-bullmq')).toMatchObject({ code: 0, json: { jobs: { wait: 0 } } })
})

test('bench measures, and leaves nothing behind', async () => {
  expect(await call('bench')).toMatchObject({ code: 4 })
  const { code, json } = await callJson('bench', '--yes', '--seconds', '1')
  for (const name of ['ping', 'read', 'locked update']) {
    const { p50Ms, p99Ms, mostMs, perSecond } = json.calls[name]
    expect(p50Ms).toBeGreaterThan(0)
    expect(p99Ms).toBeGreaterThanOrEqual(p50Ms)
    expect(mostMs).toBeGreaterThanOrEqual(p99Ms)
    expect(perSecond).toBeGreaterThan(0)
  }
  expect(code).toBe(0)
  const benching = start(['bench', '--yes'], env)
  await until(async () => (await audit.redis.keys('synckairos:bench:*')).length > 0)
  benching.child.kill('SIGINT')
  expect(await benching.ended).toMatchObject({ code: 130, signal: null })
  expect(await audit.redis.keys('synckairos:bench:*')).toEqual([])
})

describe('what is wrong', () => {
  test.each([
    ['no such command', ['frob'], /no command "frob"/],
    ['an option before the command', ['--json-lines', 'status'], /before its options/],
    ['an unknown option', ['status', '--bogus'], /--bogus/],
    ['a missing argument', ['session'], /<id> is missing/],
    ['an argument too many', ['status', 'x'], /"x" is one argument too many/],
    ['no number', ['history', 'a', '--limit', 'ten'], /--limit: a whole number/],
    ['no time', ['restore', '--since', 'soon'], /--since: a date/],
    ['an id and --since', ['restore', 'a', '--since', '1h'], /either/],
    ['a time-out of no length', ['status', '--timeout', '0'], /--timeout/],
    ['memory:', ['status', '--redis', 'memory:'], /inside of one process/],
    ['no URL of Redis', ['status', '--redis', 'http://secret@x'], /protocol/],
    ['no URL of a database', ['history', 'a', '--database', 'mysql://secret@x'], /databaseUrl/],
    ['no file', ['status', '--ca', '/no/such/file'], /\/no\/such\/file/],
    ['no action', ['dead', 'bury'], /"bury" is none of/],
  ])('in the usage: %s', async (_what, args, message) => {
    const { code, stdout, stderr } = await run(args, env)
    expect(stderr).toMatch(message)
    expect(stderr).not.toMatch(/secret|\n {4}at /)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  })

  test('a database is missing', async () => {
    delete env.DATABASE_URL
    expect(await call('history', 'a')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--database/),
    })
  })

  test('--json has the error, too', async () => {
    const { code, json, stderr } = await runJson(
      ['status', '--redis', 'redis://127.0.0.1:1', '--timeout', '1'],
      env,
    )
    expect(json).toEqual({
      error: { code: 'REDIS_UNAVAILABLE', message: expect.stringContaining('127.0.0.1:1') },
    })
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
  })
})

describe('help', () => {
  test('lists all commands and the exit codes', async () => {
    const { code, stdout } = await run(['--help'])
    for (const word of ['status', 'doctor', 'restore', 'adopt-bullmq', 'REDIS_URL', 'Exit codes']) {
      expect(stdout).toContain(word)
    }
    expect(code).toBe(0)
    expect(await run([])).toMatchObject({ code: 0, stdout })
    expect((await run(['--version'])).stdout).toBe(`${require('../package.json').version}\n`)
  })

  test.each(require('../bin/program.js').COMMANDS.map((command) => [command.name, command]))(
    'explains %s, with its options and examples',
    async (name, { options = {}, examples }) => {
      const { code, stdout } = await run([name, '--help'])
      for (const option of Object.keys(options)) expect(stdout).toContain(`--${option}`)
      for (const example of examples) expect(stdout).toContain(`npx synckairos-state ${example}\n`)
      expect(code).toBe(0)
    },
  )
})

test('no control characters of a session reach a pipe', async () => {
  const { queue, manager } = await service()
  await createdBy(manager, { session_id: 'red' })
  const why = { event: '\x1b[31mred\x07', actor: 'a\x1b]0;title\x07' }
  await manager.modifySession('red', (state) => state, why)
  await queue.drained()
  for (const args of [['history', 'red'], ['session', 'red'], ['status'], ['doctor']]) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these
    expect((await call(...args)).stdout).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f]/)
  }
})
