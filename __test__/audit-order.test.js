'use strict'

const { Queue } = require('bullmq')
const { Audit, running } = require('./harness/audit.js')

const audit = Audit.use()

const SCHEMAS = [
  ['the tables of migrate()', () => audit.queue({ worker: false }).migrate()],
  ['the tables of the running services', () => audit.deploy()],
]

/** The version and the status of a session's row. */
async function stored(id) {
  const { final_status: status, metadata } = await audit.session(id)
  return [metadata.version, status]
}

describe.each(SCHEMAS)('on %s, sync_sessions', (_name, make) => {
  let writer
  let manager

  beforeEach(async () => {
    await make()
    writer = audit.queue({ worker: false })
    manager = audit.manage(writer)
  })

  /** A worker stores everything that is queued; then it closes. */
  async function store(options) {
    const worker = audit.queue(options)
    await worker.drained()
    await worker.close()
  }

  /** Stores each record that these calls queue in a batch of its own, or all in one. */
  async function inBatches(isOne, calls) {
    for (const call of calls) {
      await call()
      if (!isOne) await store()
    }
    if (isOne) await store()
  }

  describe.each([
    ['one batch', true],
    ['a batch each', false],
  ])('in %s', (_batches, isOne) => {
    test("follows updates with the caller's own object, whose created_at is older than the stored one", async () => {
      const state = running({ created_at: new Date(Date.now() - 60_000) })
      const id = state.session_id
      await inBatches(isOne, [
        () => manager.createSession(state),
        () => manager.updateSession(id, { ...state, status: 'paused' }, 1),
        () => manager.updateSession(id, { ...state, status: 'completed' }, 2),
      ])
      expect(await stored(id)).toEqual([3, 'completed'])
    })

    test('follows the next life, whose creator has a clock behind', async () => {
      const state = running()
      const id = state.session_id
      await inBatches(isOne, [
        () => manager.createSession(state),
        () => manager.updateSession(id, { ...state, status: 'completed' }, 1),
        () => manager.deleteSession(id),
        async () => {
          const clock = jest.spyOn(Date, 'now').mockReturnValue(Date.now() - 2000)
          try {
            await manager.createSession({ ...state, status: 'pending' })
          } finally {
            clock.mockRestore()
          }
        },
      ])
      expect(await stored(id)).toEqual([1, 'pending'])
    })

    test('follows Redis back when it has lost versions', async () => {
      const state = running()
      const id = state.session_id
      let lost
      await inBatches(isOne, [
        () => manager.createSession(state),
        async () => {
          lost = await audit.redis.get(`session:${id}`)
        },
        () => manager.updateSession(id, { ...state, status: 'paused' }, 1),
        () => manager.updateSession(id, { ...state, status: 'completed' }, 2),
        () => audit.redis.set(`session:${id}`, lost),
        () => manager.updateSession(id, { ...state, status: 'expired' }, 1),
      ])
      expect(await stored(id)).toEqual([2, 'expired'])
    })

    test('follows the dates for states queued by hand, and the later one of equals', async () => {
      const state = running()
      const id = state.session_id
      const queue = (changes) => () => writer.queueWrite(id, { ...state, ...changes }, 'x')
      await inBatches(isOne, [
        queue({ version: 3, status: 'paused' }),
        queue({ version: 2, status: 'running' }),
        queue({ version: 3, status: 'completed' }),
      ])
      expect(await stored(id)).toEqual([3, 'completed'])
    })

    test('takes a state queued by hand after a write by its dates, and gives it up for the next write', async () => {
      const state = running({ created_at: new Date(Date.now() - 60_000) })
      const id = state.session_id
      const queue = (changes) => writer.queueWrite(id, { ...state, ...changes }, 'x')
      await inBatches(isOne, [
        () => manager.createSession(state),
        () => queue({ version: 9, status: 'running' }), // Older: before the stored created_at.
      ])
      expect(await stored(id)).toEqual([1, 'running'])
      const { created_at } = await manager.getSession(id)
      await inBatches(isOne, [() => queue({ created_at, version: 9, status: 'completed' })])
      expect(await stored(id)).toEqual([9, 'completed'])
      await inBatches(isOne, [() => manager.updateSession(id, { ...state, status: 'paused' }, 1)])
      expect(await stored(id)).toEqual([2, 'paused'])
    })
  })

  test('follows the dates for what is taken from BullMQ, before a write or after it', async () => {
    const state = running({ created_at: new Date(Date.now() - 60_000) })
    const id = state.session_id
    const jobs = audit.keep(
      new Queue(audit.queueName, { connection: { host: '127.0.0.1', port: audit.server.port } }),
    )
    const adopt = async (changes) => {
      const job = { sessionId: id, state: { ...state, ...changes }, eventType: 'x', timestamp: 1 }
      await jobs.add('x', job)
      await writer.adoptBullMQ()
      await store()
    }
    await adopt({ version: 4, status: 'paused' })
    await adopt({ version: 3, status: 'running' })
    expect(await stored(id)).toEqual([4, 'paused'])
    await manager.createSession(state)
    await store()
    expect(await stored(id)).toEqual([1, 'running'])
    await adopt({ version: 9, status: 'expired' }) // Of the life before.
    expect(await stored(id)).toEqual([1, 'running'])
    const { created_at } = await manager.getSession(id)
    await adopt({ created_at, version: 2, status: 'completed' })
    expect(await stored(id)).toEqual([2, 'completed'])
  })

  test('keeps the later write where a worker stores an earlier one after it', async () => {
    const state = running({ created_at: new Date(Date.now() - 60_000) })
    const id = state.session_id
    await manager.createSession(state)
    const [[, fields]] = await audit.redis.xrange(audit.stream, '-', '+')
    const [[position]] = await audit.redis.xrange(audit.stream, '-', '+')
    await manager.updateSession(id, { ...state, status: 'paused' }, 1)
    await audit.redis.xdel(audit.stream, position)
    await store()
    expect(await stored(id)).toEqual([2, 'paused'])
    // Queued again, with the position that it had.
    await audit.redis.xadd(audit.stream, '*', ...fields, 'position', position)
    await store()
    expect(await stored(id)).toEqual([2, 'paused'])
    expect(await audit.events()).toHaveLength(2)
  })

  test('keeps a state queued by hand where the write before it is stored after it', async () => {
    const state = running()
    const id = state.session_id
    await manager.createSession(state)
    const [[position, fields]] = await audit.redis.xrange(audit.stream, '-', '+')
    await audit.redis.xdel(audit.stream, position)
    const { created_at } = await manager.getSession(id)
    const later = { ...state, created_at, version: 2, status: 'completed' }
    await writer.queueWrite(id, later, 'session_completed')
    await store()
    await audit.redis.xadd(audit.stream, '*', ...fields, 'position', position)
    await store()
    expect(await stored(id)).toEqual([2, 'completed'])
    // The write is known: one that Redis executed before it changes nothing any more.
    const [ms] = position.split('-')
    await audit.redis.xadd(audit.stream, '*', ...fields, 'position', `${ms - 1}-0`)
    await store()
    expect(await stored(id)).toEqual([2, 'completed'])
  })

  test('keeps its state where a dead letter of an earlier write is revived', async () => {
    const queue = audit.queue({ worker: false })
    const state = running({ created_at: new Date(Date.now() - 60_000) })
    const id = state.session_id
    const refuse =
      "ALTER TABLE sync_events ADD CONSTRAINT refuse CHECK (event_type <> 'session_created')"
    await audit.rows(refuse)
    await manager.createSession(state)
    await store()
    expect(await queue.getFailed()).toHaveLength(1)
    // Twice: a record that is buried again keeps its first position, too.
    await queue.retryFailed()
    await store()
    expect(await queue.getFailed()).toHaveLength(1)
    await manager.updateSession(id, { ...state, status: 'paused' }, 1)
    await store()
    await audit.rows('ALTER TABLE sync_events DROP CONSTRAINT refuse')
    expect(await queue.retryFailed()).toBe(1)
    await store()
    expect(await stored(id)).toEqual([2, 'paused'])
    expect(await audit.events()).toHaveLength(2)
  })

  test('follows the dates where the row is of an old instance', async () => {
    const state = running()
    const id = state.session_id
    await manager.createSession(state)
    const { created_at } = await manager.getSession(id)
    const insert = `INSERT INTO sync_sessions (session_id, sync_mode, created_at, final_status, metadata, last_updated_at)
       VALUES ($1, 'global', $2, 'expired', $3, $2)`
    await audit.rows(insert, [id, new Date(created_at.getTime() + 5000), { version: 7 }])
    await store()
    expect(await stored(id)).toEqual([7, 'expired'])
    await audit.rows('UPDATE sync_sessions SET created_at = $1', [created_at])
    await audit.rows(`UPDATE sync_sessions SET metadata = '{"version":1,"own":[]}'`)
    await manager.updateSession(id, await manager.getSession(id), 1)
    await store()
    expect((await audit.session(id)).metadata).toMatchObject({ version: 2, own: [] })
  })

  test('has the last write of each session, however many workers store them', async () => {
    const states = Array.from({ length: 5 }, () =>
      running({ created_at: new Date(Date.now() - 60_000) }),
    )
    const workers = [audit.worker({ batchSize: 3 }), audit.worker({ batchSize: 7 })]
    await Promise.all(workers.map((worker) => worker.call('getMetrics')))
    await Promise.all(
      states.map(async (state) => {
        await manager.createSession(state)
        for (let version = 1; version < 40; version++) {
          await manager.updateSession(state.session_id, { ...state, status: 'paused' }, version)
          if (version === 20) await workers[0].kill()
        }
        await manager.updateSession(state.session_id, { ...state, status: 'completed' }, 40)
      }),
    )
    await writer.drained()
    for (const { session_id: id } of states) expect(await stored(id)).toEqual([41, 'completed'])
  }, 40_000)
})
