'use strict'

const { spawn } = require('node:child_process')
const fs = require('node:fs')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')
const Redis = require('ioredis').default
const { signal } = require('./processes.js')
const { findRedis } = require('./redis-binaries.js')
const { allowServer } = require('./real-servers.js')
const { until } = require('./until.js')

/** A port that nobody listens on. */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

/**
 * A real Redis or Valkey of the test's own, in a directory of its own. Fails where there is none: a test
 * that cannot run is a failed test.
 */
class RedisServer {
  host = '127.0.0.1'
  #process
  #args
  #paused = false
  /** ioredis clients made by `client()`, disconnected by `stop()`. */
  #clients = []

  constructor(port, directory, args) {
    this.port = port
    this.directory = directory
    this.#args = args
  }

  /** @param {string[]} [args] more arguments for redis-server, such as `--appendonly yes` */
  static async start(args = []) {
    allowServer('redis-server')
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-redis-'))
    const server = new this(await freePort(), directory, args)
    try {
      await server.up()
    } catch (error) {
      await server.stop()
      throw error
    }
    return server
  }

  get url() {
    return `redis://127.0.0.1:${this.port}`
  }

  /** The path of what `CONFIG REWRITE` writes, such as whose replica it is. */
  get configuration() {
    return path.join(this.directory, 'redis.conf')
  }

  /** Whether it runs and is not paused. */
  get works() {
    const { pid, exitCode, signalCode } = this.#process
    return pid !== undefined && exitCode === null && signalCode === null && !this.#paused
  }

  get pid() {
    return this.#process.pid
  }

  /** What redis-server is started with: where the file says otherwise, what follows it wins. */
  arguments() {
    const args = [this.configuration, '--port', this.port, '--bind', this.host]
    return [...args, '--dir', this.directory, '--save', '', '--appendonly', 'no', ...this.#args]
  }

  /** Starts the server (again), on the same port and data, and waits until it answers. */
  async up() {
    fs.writeFileSync(this.configuration, '', { flag: 'a' })
    const args = this.arguments().map(String)
    const child = spawn(findRedis(), args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#process = child
    this.#paused = false
    let output = ''
    child.stdout.on('data', (data) => {
      output += data
    })
    child.stderr.on('data', (data) => {
      output += data
    })
    let failure
    child.once('error', (error) => {
      failure = error
    })
    await until(() => {
      if (failure) throw new Error(`redis-server could not be started: ${failure.message}`)
      if (child.exitCode !== null) throw new Error(`redis-server ended:\n${output}`)
      return answers(this.port)
    }, 10_000)
  }

  /** Ends the process, without a chance to say goodbye. Its data stays for `up()`. */
  async kill() {
    // Without a pid it was never started.
    const { pid, exitCode, signalCode } = this.#process
    if (pid === undefined || exitCode !== null || signalCode !== null) return
    const ended = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#process.kill('SIGKILL')
    await ended
  }

  /** Stops it from doing anything, while its connections stay. */
  pause() {
    signal(this.pid, 'SIGSTOP')
    this.#paused = true
  }

  /** Undoes `pause()`. */
  resume() {
    signal(this.pid, 'SIGCONT')
    this.#paused = false
  }

  /** An ioredis client of this server: another pair of eyes, and what an old instance uses. */
  client(options = {}) {
    // What ioredis waits for after disconnect() would hold up the end of the tests.
    const client = new Redis(this.port, '127.0.0.1', { disconnectTimeout: 100, ...options })
    client.on('error', () => {})
    this.#clients.push(client)
    return client
  }

  async stop() {
    for (const client of this.#clients) client.disconnect()
    await this.kill()
    // A child that rewrites a file outlives its server for a moment.
    fs.rmSync(this.directory, { recursive: true, force: true, maxRetries: 10 })
  }
}

/** Whether a Redis answers PING on this port, or would after a password. */
function answers(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    const end = (answer) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('data', (data) => end(/^(\+PONG|-NOAUTH)/.test(data.toString())))
    socket.once('error', () => end(false))
    socket.setTimeout(1000, () => end(false))
  })
}

module.exports = { RedisServer, freePort }
