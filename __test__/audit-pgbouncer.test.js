'use strict'

const { Pool } = require('pg')
const { Audit, running } = require('./harness/audit.js')
const { PgBouncer } = require('./harness/pgbouncer.js')
const { until } = require('./harness/until.js')

const audit = Audit.use()

describe.each(['transaction', 'session'])('PgBouncer in %s mode', (mode) => {
  let bouncer
  let databaseUrl

  beforeAll(async () => {
    // There are fewer server connections than clients, so each transaction may get another one.
    const pool_mode = mode
    const sizes = mode === 'transaction' ? { default_pool_size: 3 } : { default_pool_size: 20 }
    bouncer = await PgBouncer.start(audit.postgres, { pool_mode, ...sizes })
  })
  afterAll(() => bouncer.stop())

  beforeEach(() => {
    databaseUrl = bouncer.urlOf(audit.databaseUrl)
  })

  const stored = async () => (await audit.events()).map(({ session_id: id }) => id).sort()

  /** Others use the pooler as well, until what is returned is called. */
  function traffic() {
    const pool = new Pool({ connectionString: databaseUrl, max: 4 })
    pool.on('error', () => {})
    let isOver = false
    const use = async () => {
      while (!isOver) await pool.query('SELECT pg_sleep(0.002)').catch(() => {})
    }
    const users = Array.from({ length: 4 }, use)
    return async () => {
      isOver = true
      await Promise.all(users)
      await pool.end()
    }
  }

  test('tables are created, and each record is stored once, by several workers at a time', async () => {
    const end = traffic()
    try {
      const workers = [1, 2, 3].map(() => audit.queue({ databaseUrl, batchSize: 7, migrate: true }))
      const ids = Array.from({ length: 400 }, (_, at) => `s-${String(at).padStart(3, '0')}`)
      await Promise.all(
        ids.map((id) => workers[0].queueWrite(id, running({ session_id: id }), 'changed')),
      )
      await workers[0].drained()
      expect(await stored()).toEqual(ids)
      expect(await workers[0].getMetrics()).toMatchObject({ failed: 0, delayed: 0, completed: 400 })
      expect(audit.logger.told.error).toEqual([])
    } finally {
      await end()
    }
  })

  test('migrate() may run in many processes at once; a schema of the URL is that of each transaction', async () => {
    await audit.rows('CREATE SCHEMA audit')
    const url = `${databaseUrl}?schema=audit&pgbouncer=true&connection_limit=2`
    const queues = [1, 2, 3, 4].map(() => audit.queue({ databaseUrl: url }))
    await Promise.all(queues.map((queue) => queue.migrate()))
    await queues[0].queueWrite('a', running({ session_id: 'a' }), 'changed')
    await queues[0].drained()
    const rows = await audit.rows('SELECT session_id FROM audit.sync_events')
    expect(rows).toEqual([{ session_id: 'a' }])
  })

  test('a refused record is found among good ones', async () => {
    const queue = audit.queue({ databaseUrl, attempts: 2, backoffDelay: 20 })
    await queue.migrate()
    await audit.rows("ALTER TABLE sync_events ADD CHECK (session_id <> 'poison')")
    for (const id of ['a', 'poison', 'b']) {
      await queue.queueWrite(id, running({ session_id: id }), 'changed')
    }
    await queue.drained()
    expect(await stored()).toEqual(['a', 'b'])
    expect((await queue.getFailed()).map(({ sessionId }) => sessionId)).toEqual(['poison'])
  })

  test('records wait while PostgreSQL behind it is away', async () => {
    const queue = audit.queue({ databaseUrl, attempts: 2, backoffDelay: 20 })
    await queue.migrate()
    const tries = []
    queue.on('retrying', ({ attempt }) => tries.push(attempt))
    await audit.postgres.kill()
    try {
      for (const id of ['a', 'b']) {
        await queue.queueWrite(id, running({ session_id: id }), 'changed')
      }
      await until(() => tries.some((attempt) => attempt > 2), 20_000)
    } finally {
      await audit.postgres.up()
    }
    await queue.drained()
    expect(await stored()).toEqual(['a', 'b'])
    expect((await queue.getMetrics()).failed).toBe(0)
  }, 60_000)
})
