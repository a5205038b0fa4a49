'use strict'

const { execFile, spawn } = require('node:child_process')
const { once } = require('node:events')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { promisify } = require('node:util')
const { Client, Pool } = require('pg')
const { Guard } = require('./guard.js')
const { findPostgres } = require('./postgres-binaries.js')
const { familyOf, signal } = require('./processes.js')
const { allowServer } = require('./real-servers.js')
const { freePort } = require('./redis.js')
const { until } = require('./until.js')

/** The tables that services have today, for `createDatabase()`. */
const deployedSchema = fs.readFileSync(path.join(__dirname, 'deployed-schema.sql'), 'utf8')

/**
 * What was committed survives the server's own crash, as in earnest, but not the machine's: it is
 * handed to the operating system (so `synchronous_commit` stays on), and never flushed to disk.
 */
const SETTINGS = [
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=',
  'max_connections=100',
  'fsync=off',
  'full_page_writes=off',
]

/**
 * A real PostgreSQL of the test's own: a cluster of its own, in a directory of its own, stopped
 * when this process ends, however it ends. Fails where there is no PostgreSQL: a test that cannot
 * run is a failed test.
 */
class PostgresServer {
  #binaries
  #settings
  #user = unprivilegedUser()
  #guard
  #process
  #databases = 0
  /** By URL: what `query()` uses, ended by `stop()`. */
  #pools = new Map()

  constructor(binaries, directory, settings) {
    this.#binaries = binaries
    this.#settings = settings
    this.directory = directory
    this.#guard = new Guard(directory)
  }

  /** @param {string[]} [settings] more of them, such as `max_connections=20` */
  static async start(settings = []) {
    allowServer('postgres')
    const binaries = findPostgres()
    if (!binaries) {
      throw new Error('PostgreSQL is missing: `npm run setup` installs it or says what to install')
    }
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-postgres-'))
    const server = new PostgresServer(binaries, directory, settings)
    try {
      await server.#initialise()
      server.port = await freePort()
      await server.up()
    } catch (error) {
      await server.stop()
      throw error
    }
    return server
  }

  /** Of the database that is always there. */
  get url() {
    return this.#urlOf('postgres')
  }

  /** The postmaster's. */
  get pid() {
    return this.#process.pid
  }

  /** Starts the server (again), on the same port and data, and waits until it answers. */
  async up() {
    const args = ['-D', this.directory, '-p', String(this.port)]
    for (const setting of [...SETTINGS, ...this.#settings]) args.push('-c', setting)
    // Detached: Ctrl-C in a terminal is for this process, which then stops it.
    const child = spawn(path.join(this.#binaries, 'postgres'), args, {
      ...this.#options,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#process = child
    let failure
    child.once('error', (error) => {
      failure = error
    })
    child.once('exit', () => this.#guard.watch(undefined))
    this.#guard.watch(child.pid)
    let output = ''
    const keep = (data) => {
      output = (output + data).slice(-10_000)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    await until(() => {
      if (failure) throw new Error(`postgres could not be started: ${failure.message}`)
      if (child.exitCode !== null) throw new Error(`postgres ended:\n${output}`)
      return answers(this.url)
    }, 30_000)
  }

  /** Ends it as a crash does, also while it is paused. Its data stays for `up()`. */
  async kill() {
    const child = this.#process
    // Without a pid it was never started.
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    // PostgreSQL calls it an immediate shutdown; the next start has to recover.
    child.kill('SIGQUIT')
    this.resume()
    await ended
  }

  /** Stops it from doing anything, while its connections stay. */
  async pause() {
    const { pid } = this
    signal(pid, 'SIGSTOP')
    // One that stands still makes no more children.
    await until(() => familyOf(pid).every((one) => one.pid !== pid || one.stopped))
    for (const one of familyOf(pid)) signal(one.pid, 'SIGSTOP')
    await until(() => familyOf(pid).every(({ stopped }) => stopped))
  }

  /** Undoes `pause()`. */
  resume() {
    for (const one of familyOf(this.pid)) signal(one.pid, 'SIGCONT')
  }

  /**
   * A fresh database, for one test.
   *
   * @param {string} [schema] statements that make its tables
   * @returns {Promise<string>} its URL
   */
  async createDatabase(schema) {
    const name = `database_${++this.#databases}`
    await this.query(this.url, `CREATE DATABASE ${name}`)
    const url = this.#urlOf(name)
    if (schema) await this.query(url, schema)
    return url
  }

  /** The rows of one statement; several, where there are no parameters. */
  async query(url, sql, params) {
    let pool = this.#pools.get(url)
    if (!pool) {
      pool = new Pool({ connectionString: url, max: 4, allowExitOnIdle: true })
      pool.on('error', () => {}) // An idle connection that broke is replaced by the next query.
      this.#pools.set(url, pool)
    }
    const { rows } = await pool.query(sql, params)
    return rows
  }

  async stop() {
    await this.kill()
    await Promise.all([...this.#pools.values()].map((pool) => pool.end()))
    this.#pools.clear()
    await this.#guard.end()
  }

  async #initialise() {
    if (this.#user) fs.chownSync(this.directory, this.#user.uid, this.#user.gid)
    const args = ['-D', this.directory, '--username', 'postgres', '--auth', 'trust', '--no-sync']
    args.push('--encoding', 'UTF8', '--locale', 'C')
    await promisify(execFile)(path.join(this.#binaries, 'initdb'), args, this.#options)
  }

  get #options() {
    // Without the PG… variables of whoever runs the tests.
    const env = { PATH: process.env.PATH, LC_ALL: 'C' }
    return { ...this.#user, cwd: this.directory, env }
  }

  #urlOf(database) {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`
  }
}

/** PostgreSQL and PgBouncer refuse to run as root; anyone else runs them as himself. */
function unprivilegedUser() {
  if (process.getuid?.() !== 0) return undefined
  const users = fs.readFileSync('/etc/passwd', 'utf8').split('\n')
  for (const wanted of ['postgres', 'nobody']) {
    const [, , uid, gid] = users.find((line) => line.startsWith(`${wanted}:`))?.split(':') ?? []
    if (uid) return { uid: Number(uid), gid: Number(gid) }
  }
  throw new Error('PostgreSQL does not run as root, and there is no user postgres or nobody')
}

/** Whether a PostgreSQL, or what stands before it, lets us in. */
async function answers(connectionString) {
  const client = new Client({ connectionString, connectionTimeoutMillis: 1000 })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.end()
    return true
  } catch {
    return false
  }
}

module.exports = { PostgresServer, answers, deployedSchema, unprivilegedUser }
