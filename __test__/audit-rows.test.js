'use strict'

const { Audit, running } = require('./harness/audit.js')
const { RedisServer } = require('./harness/redis.js')

const audit = Audit.use()

/** Both kinds of tables; `make` sees to it that they are there. */
const SCHEMAS = [
  ['the tables of migrate()', (queue) => queue.migrate()],
  ['the tables of the running services', async () => {}],
]

describe.each(SCHEMAS)('on %s', (name, make) => {
  beforeEach(async () => {
    if (name !== SCHEMAS[0][0]) await audit.deploy()
  })

  async function opened(options) {
    const queue = audit.queue(options)
    await make(queue)
    return { queue, manager: audit.manage(queue) }
  }

  test('create, update and delete leave their rows, in order, with the state as it was', async () => {
    const { queue, manager } = await opened()
    const before = Date.now()
    const created = running({ own: { list: [], big: 2 ** 53 - 1, text: 'ü"\\' } })
    const id = created.session_id
    await manager.createSession(created)
    const first = await manager.getSession(id)
    await manager.updateSession(id, { ...first, status: 'paused' }, 1)
    const second = await manager.getSession(id)
    await manager.deleteSession(id)
    await queue.drained()

    const events = await audit.events()
    expect(events.map((event) => event.event_type)).toEqual([
      'session_created',
      'session_updated',
      'session_deleted',
    ])
    const [create, update, remove] = events
    expect(create.state_snapshot).toEqual(JSON.parse(JSON.stringify(first)))
    expect(update.state_snapshot).toEqual(JSON.parse(JSON.stringify(second)))
    expect(remove.state_snapshot).toBeNull()
    for (const event of events) {
      expect(event.session_id).toBe(id)
      expect(event.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-/)
      expect(event.timestamp.getTime()).toBeGreaterThanOrEqual(before)
      expect(event.timestamp.getTime()).toBeLessThanOrEqual(Date.now())
    }
    expect(create.participant_id).toBe(first.active_participant_id)
    expect(Number(create.time_remaining_ms)).toBe(300_000)
    expect(remove.participant_id).toBeNull()
  })

  test('the session has a row with what it is now', async () => {
    const { queue, manager } = await opened()
    const state = running()
    const id = state.session_id
    const started = new Date('2026-01-02T03:04:05.006Z')
    for (const [index, participant] of state.participants.entries()) {
      participant.cycle_count = index + 3
    }
    await manager.createSession({ ...state, session_started_at: started })
    await manager.modifySession(id, (s) => ({ ...s, session_started_at: null }))
    const completed = new Date('2026-01-02T04:04:05.006Z')
    await manager.modifySession(id, (s) => ({
      ...s,
      status: 'completed',
      session_completed_at: completed,
      time_per_cycle_ms: 1234,
    }))
    const last = await manager.getSession(id)
    await queue.drained()

    expect(await audit.rows('SELECT count(*)::int AS n FROM sync_sessions')).toEqual([{ n: 1 }])
    const row = await audit.session(id)
    expect(row).toMatchObject({
      session_id: id,
      sync_mode: 'per_participant',
      created_at: last.created_at,
      last_updated_at: last.updated_at,
      started_at: started, // Not overwritten by null.
      completed_at: completed,
      final_status: 'completed',
      metadata: { version: 3 },
    })
    expect(Number(row.total_participants)).toBe(2)
    expect(Number(row.total_cycles)).toBe(7)
    expect(Number(row.time_per_cycle_ms)).toBe(1234)
    expect(Number(row.increment_ms)).toBe(2000)
    expect(row.max_time_ms).toBeNull()
  })

  test('of two versions that come in reverse, the newer stays; a new life overwrites', async () => {
    const { queue } = await opened()
    const state = running()
    const id = state.session_id
    const at = (ms) => new Date(Date.UTC(2026, 0, 1) + ms)
    const write = async (changes) => {
      await queue.queueWrite(id, { ...state, ...changes }, 'session_updated')
      await queue.drained() // One batch for each: within a batch the core itself finds the newest.
      const { final_status: status, metadata } = await audit.session(id)
      return [status, metadata.version]
    }
    expect(await write({ created_at: at(0), version: 3, status: 'paused' })).toEqual(['paused', 3])
    expect(await write({ created_at: at(0), version: 2, status: 'running' })).toEqual(['paused', 3])
    expect(await write({ created_at: at(5), version: 1, status: 'pending' })).toEqual([
      'pending',
      1,
    ])
    expect(await write({ created_at: at(0), version: 9, status: 'expired' })).toEqual([
      'pending',
      1,
    ])
    expect(await audit.events()).toHaveLength(4)
  })

  test('a start is not lost, in whatever order the states come', async () => {
    const { queue } = await opened()
    const created_at = new Date()
    const started = new Date('2026-01-02T03:04:05.006Z')
    const states = [{ session_started_at: started }, { session_started_at: null }].map(
      (start, i) => ({
        ...running(),
        created_at,
        version: i + 1,
        status: i ? 'paused' : 'running',
        ...start,
      }),
    )
    for (const order of [states, states.toReversed()]) {
      const { session_id: id } = running()
      for (const state of order) {
        await queue.queueWrite(id, { ...state, session_id: id }, 'session_updated')
        await queue.drained()
      }
      expect(await audit.session(id)).toMatchObject({
        started_at: started,
        final_status: 'paused',
        metadata: { version: 2 },
      })
    }
  })

  test('of many versions in one batch, in any order, the newest stays', async () => {
    const queue = audit.queue({ worker: false })
    await make(queue)
    const states = [running(), running()]
    for (const version of [2, 9, 4, 7, 1]) {
      for (const state of states) {
        await queue.queueWrite(state.session_id, { ...state, version }, 'session_updated')
      }
    }
    audit.queue()
    await queue.drained()
    for (const { session_id: id } of states) {
      expect((await audit.session(id)).metadata.version).toBe(9)
    }
    expect(await audit.events()).toHaveLength(10)
  })

  test('what an optional column cannot hold goes to metadata and costs nothing', async () => {
    const { queue } = await opened()
    const state = running({ session_completed_at: 'soon', increment_ms: 'two' })
    await queue.queueWrite(state.session_id, state, 'session_updated')
    const partial = { session_id: running().session_id, sync_mode: 'global', participants: 'none' }
    await queue.queueWrite(partial.session_id, partial, 'x')
    await queue.drained()
    expect(await queue.getMetrics()).toMatchObject({ completed: 2, failed: 0 })
    const row = await audit.session(state.session_id)
    expect(row.completed_at).toBeNull()
    expect(row.increment_ms).toBeNull()
    expect(row.metadata).toMatchObject({ completed_at: 'soon', increment_ms: 'two', version: 1 })
  })
})

describe('on the tables of the running services', () => {
  beforeEach(() => audit.deploy())

  test('ids that are none, and integers that overflow, go to metadata', async () => {
    const queue = audit.queue()
    const state = running({ active_participant_id: 'white', time_per_cycle_ms: 2 ** 40 })
    state.participants[0].participant_id = 'white'
    state.participants[0].time_remaining_ms = 2 ** 40
    await queue.queueWrite(state.session_id, state, 'session_updated')
    await queue.drained()
    const [event] = await audit.events()
    expect(event).toMatchObject({ participant_id: null, time_remaining_ms: null })
    expect(event.metadata).toEqual({ participant_id: 'white', time_remaining_ms: 2 ** 40 })
    expect((await audit.session(state.session_id)).metadata).toMatchObject({
      time_per_cycle_ms: 2 ** 40,
    })
  })

  test('migrate() changes nothing', async () => {
    const catalog = () =>
      audit.rows(
        `SELECT c.relname, c.relkind, a.attname, a.atttypid::regtype::text AS type, a.attnotnull
           FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
          WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, 3`,
      )
    const before = await catalog()
    expect(before.length).toBeGreaterThan(20)
    await audit.queue({ worker: false }).migrate()
    expect(await catalog()).toEqual(before)
  })
})

test('migrate() may run in many processes at once, and again', async () => {
  const queues = Array.from({ length: 8 }, () => audit.queue({ worker: false }))
  await Promise.all(queues.map((queue) => queue.migrate()))
  await queues[0].migrate()
  const tables = await audit.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
  expect(tables.map(({ tablename }) => tablename).sort()).toEqual(
    expect.arrayContaining(['sync_events', 'sync_sessions']),
  )
})

test('session ids may be any string on the tables of migrate()', async () => {
  const queue = audit.queue()
  await queue.migrate()
  const manager = audit.manage(queue)
  await manager.createSession(running({ session_id: 'session-123' }))
  await queue.drained()
  expect(await audit.session('session-123')).toMatchObject({ final_status: 'running' })
})

test('the record is appended in the write script: one command from the client', async () => {
  const queue = audit.queue({ worker: false })
  const manager = audit.manage(queue)
  const state = running()
  await manager.createSession(state)
  const monitor = await audit.redis.monitor()
  const sent = []
  monitor.on(
    'monitor',
    (_time, [command], source) => source !== 'lua' && sent.push(command.toLowerCase()),
  )
  await manager.updateSession(state.session_id, state, 1)
  await audit.redis.echo('over')
  await new Promise((resolve) => {
    const look = () => (sent.includes('echo') ? resolve() : setImmediate(look))
    look()
  })
  monitor.disconnect()
  expect(sent).toEqual(['evalsha', 'echo'])
  expect(await audit.left()).toBe(2)
})

test('a manager on another Redis appends after the write', async () => {
  const other = await RedisServer.start()
  try {
    const queue = audit.queue()
    await queue.migrate()
    const { RedisStateManager } = require('../index.js')
    const manager = new RedisStateManager(other.url, null, queue, { logger: audit.logger })
    const state = running()
    await manager.createSession(state)
    await manager.updateSession(state.session_id, await manager.getSession(state.session_id), 1)
    await manager.deleteSession(state.session_id)
    await manager.deleteSession('nobody')
    await manager.close()
    await queue.drained()
    const events = await audit.events()
    expect(events.map((event) => event.event_type).sort()).toEqual([
      'session_created',
      'session_deleted',
      'session_updated',
    ])
    expect(audit.logger.told.error).toEqual([])
    expect(audit.logger.told.warn).toContainEqual(
      expect.objectContaining({ message: expect.stringContaining('another Redis') }),
    )
  } finally {
    await other.stop()
  }
})
