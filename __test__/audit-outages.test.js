'use strict'

const { DatabaseError, RedisUnavailableError } = require('..')
const { Audit, running } = require('./harness/audit.js')
const { sleep, until } = require('./harness/until.js')

const audit = Audit.use()

/** How many rows there are. */
const stored = async () =>
  Number((await audit.rows('SELECT count(*) AS rows FROM sync_events'))[0].rows)

/** Nothing is left, nothing was given up, and so many rows are there. */
async function expectAll(queue, count) {
  await queue.drained()
  expect(await stored()).toBe(count)
  expect(await audit.left()).toBe(0)
  const nothing = { waiting: 0, active: 0, delayed: 0, failed: 0 }
  expect(await queue.getMetrics()).toEqual({ ...nothing, completed: count })
}

/** What a queue tells, event by event. */
function heard(queue, ...names) {
  const told = Object.fromEntries(names.map((name) => [name, []]))
  for (const name of names) queue.on(name, (...args) => told[name].push(args))
  return told
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]

describe('PostgreSQL goes away', () => {
  test('for longer than all attempts last, and no update is slower, and none is lost', async () => {
    const queue = audit.queue({ attempts: 2 })
    await queue.migrate()
    const told = heard(queue, 'failed', 'error', 'retrying')
    const manager = audit.manage(queue)
    // What an update costs while PostgreSQL is there and idle: its records stay where they are.
    const idle = audit.queue({ queueName: `${audit.queueName}-idle`, worker: false })
    const idleManager = audit.manage(idle)
    const states = Array.from({ length: 8 }, () => running())
    for (const state of states) {
      await manager.createSession(state)
      state.created_at = (await manager.getSession(state.session_id)).created_at
      await idleManager.createSession({ ...state, session_id: `idle-${state.session_id}` })
    }

    /** Eight callers at full speed; how long each call took, for as long as it is asked for. */
    async function updates(manager, prefix, isOver) {
      const times = []
      await Promise.all(
        states.map(async (state) => {
          const id = prefix + state.session_id
          while (!isOver()) {
            const started = performance.now()
            await manager.updateSession(id, { ...state, session_id: id })
            times.push(performance.now() - started)
          }
        }),
      )
      return times
    }
    const lasting = (ms) => {
      const end = performance.now() + ms
      return () => performance.now() > end
    }

    await updates(idleManager, 'idle-', lasting(500)) // Until all code is compiled.
    const medians = { before: [], during: [] }
    // What else this machine does falls on some rounds; what an outage does, on all of them. So the
    // quietest are compared, and the longer it takes to find quiet ones, the truer they are.
    const isUnslowed = () => Math.min(...medians.during) < 1.3 * Math.min(...medians.before)
    let written = states.length
    for (let round = 1; round <= 3 || (round <= 10 && !isUnslowed()); round++) {
      await queue.drained()
      const before = await updates(idleManager, 'idle-', lasting(500))
      await audit.postgres.kill()
      told.retrying.length = 0
      const tries = () => Math.max(0, ...told.retrying.map(([{ attempt }]) => attempt))
      const gone = performance.now()
      const enough = lasting(500)
      // Until some record was tried twice as often as any may be whose fault it is.
      const during = await updates(manager, '', () => enough() && tries() > 4)
      // Nor is PostgreSQL asked all the time.
      expect(tries()).toBeLessThan((performance.now() - gone) / 50 + 2)
      expect(Math.min(before.length, during.length)).toBeGreaterThan(100)
      medians.before.push(median(before))
      medians.during.push(median(during))
      written += during.length
      const { waiting, active, delayed, failed, completed } = await queue.getMetrics()
      expect(completed + waiting + active + delayed).toBe(written)
      expect({ failed, told: told.failed }).toEqual({ failed: 0, told: [] })
      expect(told.error).toHaveLength(round) // Once an outage.
      await audit.postgres.up()
    }
    await expectAll(queue, written)
    const gaps = await audit.rows(`
      SELECT session_id FROM sync_events GROUP BY session_id
      HAVING count(*) <> max((state_snapshot->>'version')::int)
          OR count(*) <> count(DISTINCT state_snapshot->>'version')`)
    expect(gaps).toEqual([])
    for (const { session_id: id } of states) {
      const { version } = await manager.getSession(id)
      expect((await audit.session(id)).metadata.version).toBe(version)
    }
    expect({ ...medians, isUnslowed: isUnslowed() }).toEqual({ ...medians, isUnslowed: true })
  }, 60_000)

  test('it comes back without tables: the logger is told to call migrate()', async () => {
    await audit.postgres.kill()
    const queue = audit.queue()
    try {
      await queue.queueWrite('session', running(), 'event')
      await until(() => audit.logger.told.warn.length > 0)
    } finally {
      await audit.postgres.up()
    }
    await until(() => audit.logger.told.warn.some(({ err }) => /migrate\(\)/.test(err?.message)))
    await queue.migrate()
    await queue.drained()
    expect(await stored()).toBe(1)
  })

  test('it stands still: the deadline fires, nothing hangs, and all of it arrives once', async () => {
    const queue = audit.queue({ poolMax: 1 }) // One batch at a time, whose statement is on its way.
    await queue.migrate()
    const told = heard(queue, 'error', 'retrying')
    const others = { queueName: `${audit.queueName}-others` }
    const graceful = audit.queue(others)
    const forced = audit.queue({ queueName: `${audit.queueName}-forced` })
    const manager = audit.manage(queue)
    const all = [queue, graceful, forced]
    await Promise.all(all.map((one) => one.queueWrite('warm', running(), 'warm')))
    await Promise.all(all.map((one) => one.drained()))

    const unlock = await audit.lockEvents()
    const state = running()
    await manager.createSession(state)
    for (const one of [graceful, forced]) await one.queueWrite('held', running(), 'held')
    const waiting = () => audit.rows(`SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'`)
    await until(async () => (await waiting()).length === 3) // Each has its statement in there.
    await audit.postgres.pause()
    const paused = performance.now()
    const since = () => performance.now() - paused
    try {
      const closed = [forced.close(true).then(since), graceful.close().then(since)]
      let updates = 0
      while (told.error.length === 0 && since() < 20_000) {
        const started = performance.now()
        await manager.updateSession(state.session_id, state)
        expect(performance.now() - started).toBeLessThan(1500)
        updates++
        await sleep(20)
      }
      const [[error]] = told.error
      expect(error).toBeInstanceOf(DatabaseError)
      expect(error.message).toContain('did not answer within 15 s')
      expect(since()).toBeGreaterThan(13_000) // The statement was on its way before the pause.
      expect(since()).toBeLessThan(18_000)
      const [force, grace] = await Promise.all(closed)
      expect(force).toBeLessThan(2000)
      expect(grace).toBeGreaterThan(8000) // It did wait for the batch in hand.
      expect(grace).toBeLessThan(11_500)
      await until(() => told.retrying.length > 0)
      audit.postgres.resume()
      await unlock()
      const heirs = [others, { queueName: `${audit.queueName}-forced` }].map((o) => audit.queue(o))
      await Promise.all([queue, ...heirs].map((one) => one.drained()))
      expect(await stored()).toBe(3 + 3 + updates)
      expect((await queue.getMetrics()).completed).toBe(2 + updates)
      for (const heir of heirs) expect((await heir.getMetrics()).completed).toBe(2)
    } finally {
      audit.postgres.resume()
    }
  }, 60_000)

  /** Statements that take something away from the role `app`, and give it back. */
  const REFUSALS = [
    [
      'read-only',
      '25006',
      (name) => `ALTER DATABASE ${name} SET default_transaction_read_only = on`,
      (name) => `ALTER DATABASE ${name} RESET default_transaction_read_only`,
    ],
    [
      'out of connections',
      '53300',
      () => 'ALTER ROLE app CONNECTION LIMIT 0',
      () => 'ALTER ROLE app CONNECTION LIMIT -1',
    ],
    [
      'not for us',
      '42501',
      () => 'REVOKE INSERT ON sync_events FROM app',
      () => 'GRANT INSERT ON sync_events TO app',
    ],
    [
      'closed for maintenance',
      '28000',
      () => 'ALTER ROLE app NOLOGIN',
      () => 'ALTER ROLE app LOGIN',
    ],
  ]
  test.each(REFUSALS)(
    'it is %s (%s): records wait until it no longer is',
    async (_how, code, take, giveBack) => {
      await audit.queue({ worker: false }).migrate()
      await audit.rows(`
      DO $$ BEGIN CREATE ROLE app LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
      GRANT ALL ON ALL TABLES IN SCHEMA public TO app`)
      const url = new URL(audit.databaseUrl)
      url.username = 'app'
      const queue = audit.queue({ attempts: 2, databaseUrl: url.href })
      await queue.queueWrite('session', running(), 'before')
      await queue.drained()
      const told = heard(queue, 'failed', 'retrying')
      const name = url.pathname.slice(1)
      await audit.rows(take(name))
      try {
        // Settings of a database and a role are those of a connection from its beginning.
        await audit.rows(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'`,
        )
        await queue.queueWrite('session', running(), 'after')
        const refused = ([, error]) => error.sqlstate === code
        await until(() => told.retrying.filter(refused).length > 3)
        expect((await queue.getMetrics()).failed).toBe(0)
      } finally {
        await audit.rows(`SET default_transaction_read_only = off; ${giveBack(name)}`)
      }
      await expectAll(queue, 2)
      expect(told.failed).toEqual([])
    },
  )

  test('its tables are missing: the logger says what to do, and after that all arrives', async () => {
    const queue = audit.queue({ attempts: 2 })
    const told = heard(queue, 'failed', 'error', 'retrying')
    const manager = audit.manage(queue)
    const state = running()
    await manager.createSession(state)
    await until(() => told.retrying.length > 3)
    await manager.updateSession(state.session_id, state, 1)
    const [{ err }, ...more] = audit.logger.told.warn
    expect(err).toBeInstanceOf(DatabaseError)
    expect(err.sqlstate).toBe('42P01')
    expect(err.message).toContain('migrate()')
    expect(more).toEqual([])
    expect(told.error).toEqual([[err]])
    await queue.migrate()
    await expectAll(queue, 2)
    expect(told.failed).toEqual([])
  })
})

describe('Redis goes away', () => {
  test('a restart, with records waiting and in hand: nothing is lost, the worker goes on', async () => {
    const queue = audit.queue({ batchSize: 10 })
    await queue.migrate()
    const told = heard(queue, 'error')
    const unlock = await audit.lockEvents()
    const names = Array.from({ length: 50 }, (_, n) => `event-${n}`)
    await Promise.all(names.map((name) => queue.queueWrite('session', running(), name)))
    await until(async () => (await queue.getMetrics()).active > 0)
    expect((await queue.getMetrics()).waiting).toBeGreaterThan(0)
    await audit.server.kill()
    await unlock()
    // What was in hand is stored, and cannot be settled.
    await until(async () => (await stored()) > 0)
    await until(() => told.error.length > 0)
    expect(told.error).toEqual([[expect.any(RedisUnavailableError)]])
    await audit.server.up()
    const back = performance.now()
    await expectAll(queue, 50)
    // It took up itself what it had in hand, before anybody would have claimed that.
    expect(performance.now() - back).toBeLessThan(6000)
    const rows = await audit.rows('SELECT event_type FROM sync_events')
    expect(rows.map((row) => row.event_type).sort()).toEqual(names.toSorted())
    await queue.queueWrite('session', running(), 'afterwards')
    await expectAll(queue, 51)
    expect(told.error).toHaveLength(1)
  })

  test('it is full: nothing more is queued, and what waits still gets to PostgreSQL', async () => {
    const queue = audit.queue()
    await queue.migrate()
    await audit.postgres.kill()
    const told = heard(queue, 'retrying')
    try {
      await queue.queueWrite('session', running(), 'event')
      await until(() => told.retrying.length > 0)
      await audit.redis.config('SET', 'maxmemory', '1')
      const refused = { code: 'REDIS_REPLY', message: expect.stringContaining('OOM') }
      await expect(queue.queueWrite('session', running(), 'x')).rejects.toMatchObject(refused)
      const tries = told.retrying.length
      await until(() => told.retrying.length > tries + 1)
      audit.queue() // Nor does one hesitate that comes now.
    } finally {
      await audit.postgres.up()
    }
    try {
      await queue.drained()
      expect(await stored()).toBe(1)
    } finally {
      await audit.redis.config('SET', 'maxmemory', '0')
    }
  })

  test('FLUSHALL under a running worker: it goes on with the next record', async () => {
    const queue = audit.queue()
    await queue.migrate()
    for (let round = 1; round <= 3; round++) {
      await queue.queueWrite('session', running(), `before-${round}`)
      await queue.drained()
      await audit.redis.flushall()
      // Before there is a group again, which must not begin after it.
      await queue.queueWrite('session', running(), `after-${round}`)
      await until(async () => (await stored()) === 2 * round)
      await until(async () => (await audit.workers()) === 1)
    }
    await queue.drained()
    expect(await audit.left()).toBe(0)
  })

  test('FLUSHALL while a record is in hand: the next one arrives', async () => {
    const queue = audit.queue()
    await queue.migrate()
    const unlock = await audit.lockEvents()
    await queue.queueWrite('session', running(), 'in hand')
    await until(async () => (await queue.getMetrics()).active === 1)
    await audit.redis.flushall()
    await queue.queueWrite('session', running(), 'next')
    await unlock()
    const next = () => audit.rows(`SELECT FROM sync_events WHERE event_type = 'next'`)
    await until(async () => (await next()).length === 1)
    await queue.drained()
    expect(await audit.left()).toBe(0)
  })

  test.each([
    ['queueWrite', (queue) => queue.queueWrite('session', running(), 'once')],
    ['createSession', (_queue, manager) => manager.createSession(running())],
    ['deleteSession', (_queue, manager, id) => manager.deleteSession(id)],
  ])('the answer to %s is lost: the record is there once', async (_method, call) => {
    const proxy = await audit.redisProxy()
    const queue = audit.queue({ url: proxy.url, worker: false })
    const manager = audit.manage(queue, { url: proxy.url })
    await queue.migrate()
    // The connections stand, and Redis knows the scripts.
    await manager.deleteSession('session')
    await queue.queueWrite('session', running(), 'first')
    const state = running()
    await manager.createSession(state)
    const count = (await audit.left()) + 1
    proxy.mode = 'swallow'
    const done = call(queue, manager, state.session_id)
    await until(async () => (await audit.left()) === count)
    proxy.mode = 'refuse'
    proxy.reset()
    const before = proxy.connections
    await until(() => proxy.connections > before) // It tries again.
    proxy.mode = 'pass'
    await done
    expect(await audit.left()).toBe(count)
    await expectAll(audit.queue(), count)
  })
})
