'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { DBWriteQueue, RedisStateManager } = require('../../index.js')
const { PostgresServer } = require('./postgres.js')
const { recordingLogger } = require('./recording-logger.js')
const { RedisServer } = require('./redis.js')
const { makeState } = require('./sessions.js')

const deployedSchema = fs.readFileSync(path.join(__dirname, 'deployed-schema.sql'), 'utf8')

/**
 * What a test file about the audit needs: both servers, a database for each test, and queues and
 * managers that are closed after it. Each test has a queue of its own name.
 */
class Audit {
  #open = []
  #tests = 0

  /** To be called where a test file begins. */
  static use() {
    const audit = new Audit()
    beforeAll(async () => {
      const persistent = ['--appendonly', 'yes', '--appendfsync', 'always']
      audit.server = await RedisServer.start(persistent)
      audit.postgres = await PostgresServer.start()
      audit.redis = audit.server.client()
    })
    afterAll(async () => {
      await audit.server.stop()
      await audit.postgres.stop()
    })
    beforeEach(async () => {
      audit.databaseUrl = await audit.postgres.createDatabase()
      audit.queueName = `queue-${++audit.#tests}`
      audit.logger = recordingLogger()
    })
    afterEach(async () => {
      await Promise.all(audit.#open.splice(0).map((one) => one.close()))
    })
    return audit
  }

  /** The tables of the services that run today, instead of `migrate()`'s. */
  async deploy() {
    this.databaseUrl = await this.postgres.createDatabase(deployedSchema)
  }

  /** A queue that is closed after the test. With tables: `await audit.queue(…).migrate()`. */
  queue(options) {
    const { databaseUrl, queueName, logger } = this
    const all = { databaseUrl, queueName, logger, backoffDelay: 100, ...options }
    return this.keep(new DBWriteQueue(this.server.url, all))
  }

  /** A manager whose changes that queue audits, closed after the test. */
  manage(queue, options) {
    return this.keep(new RedisStateManager(this.server.url, null, queue, options))
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

  /** How many entries the stream of this test's queue has, settled or not. */
  left() {
    return this.redis.xlen(`synckairos:audit:{${this.queueName}}:stream`)
  }
}

/** A session as services have it while it runs. */
function running(overrides) {
  const now = new Date()
  return makeState({ status: 'running', created_at: now, updated_at: now, ...overrides })
}

module.exports = { Audit, running }
