'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { allowServer } = require('./real-servers.js')
const { RedisServer, freePort } = require('./redis.js')
const { until } = require('./until.js')

const NAME = 'sessions'
const PARTS = 3
/**
 * How often sentinels look after servers and each other, in milliseconds; by default 1 to 10 s. They
 * give a server that says it is the master four `publish-period`s until it has to become a replica:
 * that must be longer than the second in which they learn of a promotion.
 */
const PERIODS = { 'info-period': 100, 'ask-period': 100, 'publish-period': 500 }
/** A client that tells at once that its server does not answer. */
const IMPATIENT = {
  commandTimeout: 500,
  enableOfflineQueue: false,
  enableReadyCheck: false,
  maxRetriesPerRequest: 0,
  retryStrategy: () => 20,
}

/** A Redis of a group. Its file remembers whose replica it is, so that `up()` starts it as that. */
class DataServer extends RedisServer {
  #password

  constructor(port, directory, { password }) {
    const args = ['--appendonly', 'yes', '--repl-diskless-sync-delay', 0]
    if (password) args.push('--requirepass', password, '--masterauth', password)
    super(port, directory, args)
    this.#password = password
  }

  client(options = {}) {
    return super.client({ password: this.#password, ...options })
  }
}

/** A sentinel. Its file remembers the servers and the sentinels that it knows. */
class Sentinel extends RedisServer {
  #password

  constructor(port, directory, { master, password, sentinelPassword, downAfterMs }) {
    super(port, directory, [])
    const settings = [
      `port ${port}`,
      `bind ${this.host}`,
      `dir ${directory}`,
      `sentinel monitor ${NAME} 127.0.0.1 ${master.port} 2`,
      `sentinel down-after-milliseconds ${NAME} ${downAfterMs}`,
      `sentinel failover-timeout ${NAME} 2000`,
      `sentinel parallel-syncs ${NAME} 2`,
    ]
    if (password) settings.push(`sentinel auth-pass ${NAME} ${password}`)
    if (sentinelPassword) {
      settings.push(`requirepass ${sentinelPassword}`, `sentinel sentinel-pass ${sentinelPassword}`)
    }
    fs.writeFileSync(this.configuration, `${settings.join('\n')}\n`)
    this.#password = sentinelPassword
  }

  arguments() {
    return [this.configuration, '--sentinel']
  }

  async up() {
    await super.up()
    const client = this.client()
    await client.call('SENTINEL', 'DEBUG', ...Object.entries(PERIODS).flat())
    client.disconnect()
  }

  client(options = {}) {
    return super.client({ password: this.#password, ...options })
  }
}

/**
 * A master, two replicas and three sentinels, which replace the master when it has not answered for
 * `downAfterMs`. Each is a `RedisServer`, with `kill()`, `pause()`, `resume()` and `up()`.
 *
 * Until the sentinels name the new master, Sentinel takes some 1 s when it is asked for a failover, and
 * `downAfterMs` and 0.5 to 1.5 s after a master's death: while a failover goes on, it asks the servers
 * how they are once a second. Some 2 s later the old master has become a replica.
 */
class SentinelGroup {
  name = NAME
  /** @type {DataServer[]} */
  servers = []
  /** @type {Sentinel[]} */
  sentinels = []
  #password
  /** @type {Map<RedisServer, import('ioredis').Redis>} */
  #clients = new Map()

  constructor({ password }) {
    this.#password = password
  }

  /**
   * @param {{ password?: string, sentinelPassword?: string, downAfterMs?: number }} [options]
   *   `password`: of the servers; `sentinelPassword`: of the sentinels
   */
  static async start({ password, sentinelPassword, downAfterMs = 1000 } = {}) {
    allowServer('redis-server')
    const group = new SentinelGroup({ password })
    const add = async (servers, Server, options) => {
      const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-sentinel-'))
      const server = new Server(await freePort(), directory, options)
      servers.push(server)
      await server.up()
      group.#clients.set(server, server.client(IMPATIENT))
    }
    try {
      for (let n = 0; n < PARTS; n++) await add(group.servers, DataServer, { password })
      const [master, ...replicas] = group.servers
      for (const replica of replicas) {
        await replica.client().multi().replicaof(master.host, master.port).config('REWRITE').exec()
      }
      const options = { master, password, sentinelPassword, downAfterMs }
      for (let n = 0; n < PARTS; n++) await add(group.sentinels, Sentinel, options)
      await group.settled()
    } catch (error) {
      await group.stop()
      throw error
    }
    return group
  }

  /** With the password of the servers; that of the sentinels is an option of its own. */
  get url() {
    const login = this.#password ? `:${encodeURIComponent(this.#password)}@` : ''
    const hosts = this.sentinels.map(({ host, port }) => `${host}:${port}`)
    return `redis-sentinel://${login}${hosts.join(',')}/${this.name}`
  }

  /** The server that the sentinels name: the one with the highest epoch, if they disagree. */
  async master() {
    const named = await Promise.all(this.sentinels.map((sentinel) => this.#masterOf(sentinel)))
    const known = named.filter((master) => master !== undefined)
    if (known.length === 0) throw new Error('no sentinel answers')
    const [latest] = known.sort((a, b) => b['config-epoch'] - a['config-epoch'])
    return this.servers.find(({ port }) => port === Number(latest.port))
  }

  /** A planned failover. Resolves when all have settled on the new master, which it returns. */
  async failover() {
    const before = await this.master()
    await until(async () => {
      if ((await this.master()) !== before) return true
      // Refused while one goes on, and where no replica is known to be good yet. Sentinel gives up
      // where the replica that it has chosen takes too long to become the master.
      const sentinel = this.sentinels.find(({ works }) => works)
      await this.#ask(sentinel, 'SENTINEL', 'FAILOVER', this.name)
      return false
    }, 20_000)
    return this.settled()
  }

  /**
   * Resolves when all that work are of one mind: the sentinels know each other and name one master,
   * and the other servers are its replicas and in sync. Returns the master.
   *
   * @param {number} [timeoutMs]
   */
  async settled(timeoutMs = 15_000) {
    let state
    try {
      return await until(async () => {
        state = await this.#state()
        const names = new Set(state.sentinels.map(({ port }) => port))
        const master = this.servers.find(({ port }) => names.size === 1 && names.has(`${port}`))
        const agreed =
          master !== undefined &&
          state.sentinels.every((one) => this.#isContent(one)) &&
          state.roles.every(({ port, role }) =>
            port === master.port
              ? role?.[0] === 'master'
              : role?.[0] === 'slave' && role[2] === master.port && role[3] === 'connected',
          )
        return agreed && master
      }, timeoutMs)
    } catch (error) {
      throw new Error(`the servers have not settled: ${JSON.stringify(state)}`, { cause: error })
    }
  }

  /** What a sentinel knows when it could replace the master at once. */
  #isContent(master) {
    const others = PARTS - 1
    return (
      master.flags === 'master' &&
      Number(master['num-other-sentinels']) === others &&
      Number(master['num-slaves']) === others
    )
  }

  async #state() {
    const working = (all) => all.filter(({ works }) => works)
    const roles = working(this.servers).map(async (server) => {
      return { port: server.port, role: await this.#ask(server, 'ROLE') }
    })
    const sentinels = working(this.sentinels).map(async (sentinel) => {
      return (await this.#masterOf(sentinel)) ?? {}
    })
    return { roles: await Promise.all(roles), sentinels: await Promise.all(sentinels) }
  }

  /**
   * What a sentinel tells of the master; nothing, if it does not answer. While it leads a failover, it
   * tells the new epoch with the old address, and only the short answer has the new one.
   */
  async #masterOf(sentinel) {
    const fields = await this.#ask(sentinel, 'SENTINEL', 'MASTER', this.name)
    const address = await this.#ask(sentinel, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.name)
    if (!Array.isArray(fields) || !Array.isArray(address)) return undefined
    const pairs = fields.flatMap((name, at) => (at % 2 ? [] : [[name, fields[at + 1]]]))
    return { ...Object.fromEntries(pairs), port: address[1] }
  }

  /** The reply of a server; nothing, if it refuses or does not answer. */
  #ask(server, ...words) {
    return this.#clients
      .get(server)
      .call(...words)
      .catch(() => undefined)
  }

  async stop() {
    await Promise.all([...this.sentinels, ...this.servers].map((server) => server.stop()))
  }
}

module.exports = { SentinelGroup }
