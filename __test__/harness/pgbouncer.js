'use strict'

const { spawn } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { once } = require('node:events')
const { Guard } = require('./guard.js')
const { answers, unprivilegedUser } = require('./postgres.js')
const { findPgBouncer } = require('./postgres-binaries.js')
const { allowServer } = require('./real-servers.js')
const { freePort } = require('./redis.js')
const { until } = require('./until.js')

/**
 * A real PgBouncer in front of a PostgreSQL of the test's own, stopped when this process ends. Fails
 * where there is no PgBouncer.
 */
class PgBouncer {
  #directory = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-pgbouncer-'))
  #guard = new Guard(this.#directory)
  #process

  /**
   * @param {import('./postgres.js').PostgresServer} postgres
   * @param {Record<string, string | number>} settings such as `pool_mode`
   */
  static async start(postgres, settings) {
    allowServer('pgbouncer')
    const binary = findPgBouncer()
    if (!binary) throw new Error('PgBouncer is missing: `npm run setup` installs it')
    const bouncer = new PgBouncer()
    try {
      bouncer.port = await freePort()
      await bouncer.#up(binary, postgres, settings)
    } catch (error) {
      await bouncer.stop()
      throw error
    }
    return bouncer
  }

  /** The URL of a database by way of it. */
  urlOf(databaseUrl) {
    const url = new URL(databaseUrl)
    url.port = this.port
    return url.href
  }

  async stop() {
    const child = this.#process
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      await ended
    }
    await this.#guard.end()
  }

  async #up(binary, postgres, settings) {
    const user = unprivilegedUser()
    const users = path.join(this.#directory, 'users.txt')
    fs.writeFileSync(users, '"postgres" ""\n')
    const all = {
      listen_addr: '127.0.0.1',
      listen_port: this.port,
      unix_socket_dir: '',
      auth_type: 'trust',
      auth_file: users,
      server_login_retry: 1, // s; by default a PostgreSQL that is back is noticed after 15.
      ...settings,
    }
    const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`)
    const file = path.join(this.#directory, 'pgbouncer.ini')
    fs.writeFileSync(
      file,
      `[databases]\n* = host=127.0.0.1 port=${postgres.port}\n[pgbouncer]\n${lines.join('\n')}\n`,
    )
    if (user) {
      for (const one of [this.#directory, users, file]) fs.chownSync(one, user.uid, user.gid)
    }
    // Detached: Ctrl-C in a terminal is for this process, which then stops it.
    const child = spawn(binary, [file], {
      ...user,
      cwd: this.#directory,
      env: {},
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#process = child
    let failure
    let output = ''
    child.once('error', (error) => {
      failure = error
    })
    child.once('exit', () => this.#guard.watch(undefined))
    child.stderr.on('data', (data) => {
      output = (output + data).slice(-10_000)
    })
    this.#guard.watch(child.pid)
    await until(() => {
      if (failure) throw new Error(`pgbouncer could not be started: ${failure.message}`)
      if (child.exitCode !== null) throw new Error(`pgbouncer ended:\n${output}`)
      return answers(this.urlOf(postgres.url))
    })
  }
}

module.exports = { PgBouncer }
