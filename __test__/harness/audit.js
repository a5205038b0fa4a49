'use strict'

const { createHash } = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const { Client } = require('pg')
const { DBWriteQueue, RedisStateManager } = require('../../index.js')
const { AuditWorker } = require('./audit-worker.js')
const { PostgresServer, deployedSchema } = require('./postgres.js')
const { TcpProxy } = require('./proxy.js')
const { recordingLogger } = require('./recording-logger.js')
const { RedisServer } = require('./redis.js')
const { makeState } = require('./sessions.js')

/**
 * What a test file about the audit needs: both servers, a database for each test, and queues and
 * managers that are closed after it. Each test has a queue of its own name.
 */
class Audit {
  #open = []
  #tests = 0

  /** To be called where a test file begins. Without `postgres`, a test says itself where its database is. */
  static use({ postgres = true } = {}) {
    const audit = new Audit()
    beforeAll(async () => {
      const persistent = ['--appendonly', 'yes', '--appendfsync', 'always']
      persistent.push('--auto-aof-rewrite-percentage', '0')
      audit.server = await RedisServer.start(persistent)
      if (postgres) audit.postgres = await PostgresServer.start()
      audit.redis = audit.server.client()
    })
    afterAll(async () => {
      await audit.server.stop()
      await audit.postgres?.stop()
    })
    beforeEach(async () => {
      audit.databaseUrl = await audit.postgres?.createDatabase()
      audit.queueName = `queue-${++audit.#tests}`
      audit.logger = recordingLogger()
    })
    afterEach(() => audit.close())
    return audit
  }

  /** Closes what this test has opened so far. */
  async close() {
    await Promise.all(this.#open.splice(0).map((one) => one.close()))
  }

  /** The tables of the services that run today, instead of `migrate()`'s. */
  async deploy() {
    this.databaseUrl = await this.postgres.createDatabase(deployedSchema)
  }

  /** A queue that is closed after the test. With tables: `await audit.queue(…).migrate()`. */
  queue({ url = this.server.url, ...options } = {}) {
    return this.keep(new DBWriteQueue(url, { ...this.#settings, logger: this.logger, ...options }))
  }

  /** The same with a worker in a process of its own, which is killed after the test. */
  worker({ url = this.server.url, ...options } = {}) {
    return this.keep(new AuditWorker(url, { ...this.#settings, ...options }))
  }

  get #settings() {
    const { databaseUrl, queueName } = this
    return { databaseUrl, queueName, backoffDelay: 100 }
  }

  /** A proxy, stopped after the test, to Redis. */
  async redisProxy() {
    const proxy = await TcpProxy.start(this.server.port)
    this.keep({ close: () => proxy.stop() })
    return proxy
  }

  /** A proxy, stopped after the test, to PostgreSQL; its `url` is that of this test's database. */
  async postgresProxy() {
    const proxy = await TcpProxy.start(this.postgres.port)
    const url = new URL(this.databaseUrl)
    url.port = proxy.port
    proxy.url = url.href
    this.keep({ close: () => proxy.stop() })
    return proxy
  }

  /**
   * Makes every batch wait in PostgreSQL, with whoever has it in hand, until what is returned is
   * called.
   */
  async lockEvents() {
    const client = new Client({ connectionString: this.databaseUrl })
    client.on('error', () => {})
    await client.connect()
    await client.query('BEGIN; LOCK TABLE sync_events IN ACCESS EXCLUSIVE MODE')
    let ended
    const unlock = () => {
      ended ??= client.end()
      return ended
    }
    this.keep({ close: unlock })
    return unlock
  }

  /** A manager whose changes that queue audits, closed after the test. */
  manage(queue, { url = this.server.url, ...options } = {}) {
    return this.keep(new RedisStateManager(url, null, queue, options))
  }

  /** Closed after the test. */
  keep(one) {
    this.#open.push(one)
    return one
  }

  /** The rows of a statement in this test's database. */
  rows(sql, params) {
    return this.postgres.query(this.databaseUrl, sql, params)
  }

  /** All events, oldest first. */
  events() {
    return this.rows('SELECT * FROM sync_events ORDER BY timestamp, id')
  }

  /** The row of a session. */
  async session(id) {
    const [row] = await this.rows('SELECT * FROM sync_sessions WHERE session_id = $1', [id])
    return row
  }

  get stream() {
    return `synckairos:audit:{${this.queueName}}:stream`
  }

  /** How many entries the stream of this test's queue has, settled or not. */
  left() {
    return this.redis.xlen(this.stream)
  }

  /** The workers of this test's queue that have asked for records, each with its `pending`. */
  async consumers() {
    const groups = await this.redis.xinfo('GROUPS', this.stream).catch(() => [])
    const all = groups.map((group) => this.redis.xinfo('CONSUMERS', this.stream, group[1]))
    return (await Promise.all(all)).flat().map((fields) => {
      const pairs = fields.flatMap((name, at) => (at % 2 ? [] : [[name, fields[at + 1]]]))
      return Object.fromEntries(pairs)
    })
  }

  /** How many workers have asked for records: each does so for two batches at a time. */
  async workers() {
    return (await this.consumers()).length / 2
  }

  /** How many entries are in somebody's hand. */
  async pending() {
    return (await this.consumers()).reduce((sum, { pending }) => sum + pending, 0)
  }
}

/** A session as services have it while it runs. */
function running(overrides) {
  const now = new Date()
  return makeState({ status: 'running', created_at: now, updated_at: now, ...overrides })
}

/** What a call of a script of the audit holds, for a proxy's `hold()`. */
function callOf(script) {
  const file = path.join(
    __dirname,
    '..',
    '..',
    'src',
    'redis',
    'records',
    'scripts',
    `${script}.lua`,
  )
  return createHash('sha1').update(fs.readFileSync(file)).digest('hex')
}

module.exports = { Audit, callOf, running }
