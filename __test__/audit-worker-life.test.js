'use strict'

const { Audit, running } = require('./harness/audit.js')
const { runScript } = require('./harness/child.js')
const { FAULTS, FaultyPostgres } = require('./harness/faulty-postgres.js')
const { RedisServer } = require('./harness/redis.js')
const { until } = require('./harness/until.js')

const audit = Audit.use()

/** While these last, the worker may be busy with reading them. */
const ENDLESS = 'notices without end'

/** A PostgreSQL whose protocol is at fault, closed after the test. */
const faulty = async () => audit.keep(await FaultyPostgres.start(audit.databaseUrl))

describe('a worker whose PostgreSQL answers wrongly', () => {
  test.each(Object.keys(FAULTS).filter((fault) => fault !== ENDLESS))(
    '%s: goes on when it answers rightly',
    async (fault) => {
      const postgres = await faulty()
      const queue = audit.queue({ databaseUrl: postgres.url })
      const errors = []
      queue.on('error', (error) => errors.push(error))
      await audit.queue({ worker: false }).migrate()
      postgres.fault = fault
      await queue.queueWrite('session', running(), 'x')
      await until(() => errors.length > 0, 20_000)
      expect(audit.logger.entries).toContainEqual([
        expect.stringMatching(/warn|error/),
        expect.objectContaining({ err: errors[0] }),
        expect.any(String),
      ])
      postgres.fault = undefined
      await queue.drained()
      expect(await audit.events()).toHaveLength(1)
    },
    40_000,
  )

  test.each(Object.keys(FAULTS))(
    '%s: closes in time',
    async (fault) => {
      const postgres = await faulty()
      postgres.fault = fault
      const queue = audit.queue({ databaseUrl: postgres.url })
      await queue.queueWrite('session', running(), 'x')
      await until(() => postgres.met > 0)
      const began = performance.now()
      await queue.close()
      expect(performance.now() - began).toBeLessThan(10_000)
    },
    20_000,
  )
})

test('when PostgreSQL is back, both batches of a worker are stored at once', async () => {
  await audit.queue({ worker: false }).migrate()
  const postgres = await audit.postgresProxy()
  postgres.mode = 'refuse'
  // The first tries are 6 to 12 s after the failures: seconds apart.
  const queue = audit.queue({ databaseUrl: postgres.url, batchSize: 1, backoffDelay: 12_000 })
  const waiting = []
  queue.on('retrying', ({ sessionId }) => waiting.push(sessionId))
  const stored = []
  queue.on('completed', () => stored.push(performance.now()))
  await queue.queueWrite('first', running(), 'x')
  await until(() => waiting.length === 1)
  const later = performance.now() + 4000
  await until(() => performance.now() > later)
  await queue.queueWrite('second', running(), 'x')
  await until(() => waiting.length === 2)
  postgres.mode = 'pass'
  await until(() => stored.length === 2, 30_000)
  expect(stored[1] - stored[0]).toBeLessThan(1000)
}, 50_000)

test('FLUSHALL is an error that says that records may be lost, told once; the next record arrives', async () => {
  const queue = audit.queue()
  await queue.migrate()
  const errors = []
  queue.on('error', (error) => errors.push(error))
  await queue.queueWrite('session', running(), 'x')
  await queue.drained()
  await until(async () => (await audit.workers()) === 1)
  await audit.redis.flushall()
  await until(() => errors.length > 0)
  expect(errors[0]).toMatchObject({ code: 'AUDIT_RECORDS_LOST' })
  expect(errors[0].message).toMatch(`127.0.0.1:${audit.server.port}`)
  await queue.queueWrite('session', running(), 'x')
  await until(async () => (await audit.events()).length === 2)
  const lost = errors.filter(({ code }) => code === 'AUDIT_RECORDS_LOST')
  expect(lost).toHaveLength(1)
  expect(audit.logger.told.error).toEqual([
    expect.objectContaining({ err: lost[0], message: expect.stringContaining('may be lost') }),
  ])
})

test('a Redis that comes back without its data is the same error', async () => {
  const server = await RedisServer.start()
  audit.keep({ close: () => server.stop() })
  const queue = audit.queue({ url: server.url })
  await queue.migrate()
  const codes = []
  queue.on('error', ({ code }) => codes.push(code))
  await queue.queueWrite('session', running(), 'x')
  await queue.drained()
  await server.kill()
  await server.up()
  await until(() => codes.includes('AUDIT_RECORDS_LOST'))
  await queue.queueWrite('session', running(), 'x')
  await until(async () => (await audit.events()).length === 2)
  expect(codes.filter((code) => code === 'AUDIT_RECORDS_LOST')).toHaveLength(1)
})

describe('two services with one queue name and two databases', () => {
  const nameOf = (url) => {
    const { host, pathname } = new URL(url)
    return host + pathname
  }
  const told = () => audit.logger.told.error.filter(({ message }) => message.includes('queueName'))

  test('are told so, each once, with both names', async () => {
    const first = audit.queue()
    await first.migrate()
    await until(async () => (await audit.workers()) === 1)
    expect(told()).toEqual([])
    const databases = [audit.databaseUrl, await audit.postgres.createDatabase()].map(nameOf)
    const databaseUrl = audit.databaseUrl.replace(/[^/]+$/, databases[1].split('/')[1])
    const second = audit.queue({ databaseUrl })
    await second.migrate()
    await until(() => told().length === 1)
    for (const name of databases) expect(told()[0].message).toContain(name)
    // Each looks again whenever it has a new connection.
    for (let times = 0; times < 3; times++) {
      const connections = await audit.redis.client('LIST')
      await audit.redis.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
      await until(async () => {
        const now = await audit.redis.client('LIST')
        return now !== connections && (await audit.workers()) >= 2
      })
      await until(() => told().length === 2)
    }
    expect(told()[0].message).not.toBe(told()[1].message)
  })

  test('without a logger: the process warns, once', async () => {
    await audit.redis.set(`synckairos:audit:{${audit.queueName}}:database`, 'elsewhere:1/other')
    const { stderr } = await runScript(
      `const { DBWriteQueue } = require('./index.js')
       const { REDIS_URL, OPTIONS } = process.env
       const queue = new DBWriteQueue(REDIS_URL, JSON.parse(OPTIONS))
       process.once('warning', () => queue.close())`,
      {
        env: {
          REDIS_URL: audit.server.url,
          OPTIONS: JSON.stringify({ databaseUrl: audit.databaseUrl, queueName: audit.queueName }),
        },
      },
    )
    expect(stderr.match(/\[SYNCKAIROS_OTHER_DATABASE\]/g)).toHaveLength(1)
    expect(stderr).toContain('elsewhere:1/other')
  })
})

describe('migrate: true', () => {
  test('creates the tables before the first record, as soon as PostgreSQL is there', async () => {
    const postgres = await audit.postgresProxy()
    postgres.mode = 'refuse'
    const queue = audit.queue({ databaseUrl: postgres.url, migrate: true })
    const errors = []
    queue.on('error', (error) => errors.push(error))
    await queue.queueWrite('session', running(), 'x')
    await until(() => errors.length > 0)
    postgres.mode = 'pass'
    await queue.drained()
    expect(await audit.events()).toHaveLength(1)
    expect(errors).toEqual([expect.objectContaining({ code: 'DATABASE_ERROR', sqlstate: null })])
  })

  test.each([[{ migrate: 'yes' }], [{ migrate: true, worker: false }]])(
    '%j is refused',
    (options) => {
      expect(() => audit.queue(options)).toThrow(/^Invalid migrate: /)
    },
  )
})
