'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { Cluster } = require('ioredis')
const { allowServer } = require('./real-servers.js')
const { RedisServer, freePort } = require('./redis.js')
const { until } = require('./until.js')

const SLOTS = 16384
/** How many slots are moved together, where many are. */
const AT_ONCE = 256
/** Trusted by each other and, where a client is given it as `ca`, by clients. */
const CERTIFICATE = path.join(__dirname, 'tls', 'cert.pem')
const KEY = path.join(__dirname, 'tls', 'key.pem')
/** A client that tells at once that its server does not answer. */
const IMPATIENT = {
  commandTimeout: 2000,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  retryStrategy: () => 20,
}

/** A Redis of a cluster. Its files remember the cluster and the data for `up()`. */
class ClusterNode extends RedisServer {
  #password

  /** @param {{ busPort: number, tlsPort?: number, password?: string, nodeTimeoutMs: number, appends?: boolean }} options */
  constructor(port, directory, { busPort, tlsPort, password, nodeTimeoutMs, appends }) {
    const args = ['--cluster-enabled', 'yes', '--cluster-port', busPort]
    args.push('--cluster-node-timeout', nodeTimeoutMs, '--cluster-replica-validity-factor', 0)
    args.push('--appendonly', appends ? 'yes' : 'no', '--repl-diskless-sync-delay', 0)
    if (password) args.push('--requirepass', password, '--masterauth', password)
    if (tlsPort) {
      args.push('--tls-port', tlsPort, '--tls-cluster', 'yes', '--tls-replication', 'yes')
      args.push('--tls-cert-file', CERTIFICATE, '--tls-key-file', KEY)
      args.push('--tls-ca-cert-file', CERTIFICATE, '--tls-auth-clients', 'no')
      // The certificate is that of a name.
      args.push('--cluster-announce-hostname', 'localhost')
      args.push('--cluster-preferred-endpoint-type', 'hostname')
    }
    super(port, directory, args)
    this.busPort = busPort
    this.tlsPort = tlsPort
    this.#password = password
  }

  client(options = {}) {
    return super.client({ password: this.#password, ...options })
  }
}

/**
 * A cluster of `masters` masters, each with `replicas` replicas, which replace a master that has not
 * answered for `nodeTimeoutMs`. Each node is a `RedisServer`, with `kill()`, `pause()`, `resume()` and
 * `up()`. All are up, in sync and of one mind when `start()` resolves, which takes some 2 s.
 *
 * A planned failover takes some 0.3 s, one after a master's death `nodeTimeoutMs` and 0.7 to 2 s.
 */
class ClusterGroup {
  /** Masters first, as they were started: node `n` has the n-th part of the slots. @type {ClusterNode[]} */
  nodes = []
  #options
  /** @type {Map<ClusterNode, import('ioredis').Redis>} */
  #clients = new Map()
  /** @type {Cluster[]} */
  #clusters = []
  /** @type {Set<number>} */
  #ports = new Set()

  constructor(options) {
    this.#options = options
  }

  /**
   * @param {{ masters?: number, replicas?: number, password?: string, nodeTimeoutMs?: number, appends?: boolean, tls?: boolean }} [options]
   *   `replicas`: of each master; `appends`: each has an append-only file, without which a node that is killed
   *   has forgotten its data; `tls`: clients are to use TLS and to trust `tls/cert.pem`
   */
  static async start(options = {}) {
    const {
      masters = 3,
      replicas = 1,
      nodeTimeoutMs = 1000,
      appends = true,
      password,
      tls,
    } = options
    allowServer('redis-server')
    const group = new ClusterGroup({ nodeTimeoutMs, appends, password, tls })
    try {
      const count = masters * (1 + replicas)
      await Promise.all(Array.from({ length: count }, () => group.#up()))
      await group.#meet(group.nodes)
      await Promise.all(
        group.nodes.slice(0, masters).map((node, n) => {
          const [from, to] = [n, n + 1].map((part) => Math.floor((part * SLOTS) / masters))
          return group.#call(node, 'CLUSTER', 'ADDSLOTSRANGE', from, to - 1)
        }),
      )
      await Promise.all(
        group.nodes.slice(masters).map((node, n) => {
          return group.#replicate(node, group.nodes[n % masters])
        }),
      )
      await group.settled()
    } catch (error) {
      await group.stop()
      throw error
    }
    return group
  }

  /** Names all nodes that have not been removed. */
  get url() {
    const { password, tls } = this.#options
    const login = password ? `:${encodeURIComponent(password)}@` : ''
    const hosts = this.nodes.map((node) =>
      tls ? `localhost:${node.tlsPort}` : `${node.host}:${node.port}`,
    )
    return `${tls ? 'rediss' : 'redis'}-cluster://${login}${hosts.join(',')}`
  }

  /** Those that work and believe that they are masters, with slots or without. */
  async masters() {
    return (await this.#told()).filter(({ self }) => self.isMaster).map(({ node }) => node)
  }

  /** The node that works and claims the slot: the one with the highest epoch, if several do. */
  async masterOf(slot) {
    const claims = (await this.#told()).filter(({ self }) => self.isMaster && self.slots.has(slot))
    if (claims.length === 0) throw new Error(`nobody has slot ${slot}`)
    return claims.reduce((a, b) => (b.self.epoch > a.self.epoch ? b : a)).node
  }

  /** The replicas that work of a node that works. */
  async replicasOf(master) {
    const id = await this.#call(master, 'CLUSTER', 'MYID')
    return (await this.#told()).filter(({ self }) => self.master === id).map(({ node }) => node)
  }

  /** A planned failover. Resolves when all have settled on the new master, which it returns. */
  async failover(master) {
    const [replica] = await this.replicasOf(master)
    if (replica === undefined) throw new Error(`127.0.0.1:${master.port} has no replica`)
    await until(async () => {
      const [role] = (await this.#ask(replica, 'ROLE')) ?? []
      if (role === 'master') return true
      // Refused while one goes on. It is given up where the replica is not in sync in time.
      await this.#ask(replica, 'CLUSTER', 'FAILOVER')
      return false
    }, 20_000)
    await this.settled()
    return replica
  }

  /**
   * Moves a slot and its keys, key by key. `midway` is awaited when the keys have moved and the slot has
   * not: until then who asks the old node is told to `ASK` the new one.
   *
   * @param {number} slot
   * @param {ClusterNode} to
   * @param {() => unknown} [midway]
   */
  async moveSlot(slot, to, midway) {
    await this.#moveSlots([slot], await this.masterOf(slot), to, midway)
  }

  /** Moves slots and their keys, which have one master. */
  async moveSlots(slots, to) {
    await this.#moveSlots(slots, await this.masterOf(slots[0]), to)
  }

  /** Adds a master without slots, which `moveSlots()` can give some. */
  async addNode() {
    const node = await this.#up()
    await this.#meet([this.nodes[0], node])
    await this.settled()
    return node
  }

  /** Removes a node that works; its slots go to another master, its replicas with them. */
  async removeNode(node) {
    const told = await this.#told()
    const { self } = told.find((one) => one.node === node)
    if (self.slots.size > 0) {
      const heir = told.find((one) => one.node !== node && one.self.slots.size > 0).node
      await this.#moveSlots([...self.slots], node, heir)
      await this.settled()
    }
    this.nodes.splice(this.nodes.indexOf(node), 1)
    await node.stop()
    await Promise.all(this.nodes.map((other) => this.#ask(other, 'CLUSTER', 'FORGET', self.id)))
    await this.settled()
  }

  /** Forgets everything that is stored. */
  async flush() {
    await Promise.all((await this.masters()).map((node) => this.#call(node, 'FLUSHALL')))
  }

  /** An ioredis client of the cluster: another pair of eyes. */
  client(options = {}) {
    const { password } = this.#options
    const nodes = this.nodes.map(({ host, port }) => ({ host, port }))
    const client = new Cluster(nodes, {
      redisOptions: { password, disconnectTimeout: 100 },
      ...options,
    })
    client.on('error', () => {})
    this.#clusters.push(client)
    return client
  }

  /**
   * Resolves when all that work are of one mind: they know each other, each slot has the same master
   * that works, and the replicas are in sync.
   *
   * @param {number} [timeoutMs]
   */
  async settled(timeoutMs = 20_000) {
    let told
    try {
      await until(async () => {
        told = await this.#told()
        return this.#agree(told)
      }, timeoutMs)
    } catch (error) {
      const texts = told?.map(({ node, text }) => `${node.port}:\n${text}`).join('\n')
      throw new Error(`the nodes have not settled:\n${texts}`, { cause: error })
    }
  }

  async stop() {
    for (const client of this.#clusters) client.disconnect()
    await Promise.all(this.nodes.map((node) => node.stop()))
  }

  /** Starts a node that belongs to no cluster yet. */
  async #up() {
    const busPort = await this.#port()
    const tlsPort = this.#options.tls ? await this.#port() : undefined
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-cluster-'))
    const node = new ClusterNode(await this.#port(), directory, {
      ...this.#options,
      busPort,
      tlsPort,
    })
    this.nodes.push(node)
    await node.up()
    this.#clients.set(node, node.client(IMPATIENT))
    // Masters with the same epoch would have to agree on others, which takes time.
    await until(() => this.#ask(node, 'PING'))
    await this.#call(node, 'CLUSTER', 'SET-CONFIG-EPOCH', this.nodes.indexOf(node) + 1)
    return node
  }

  /** A port that no other node of the group is to listen on, whether it does so yet or not. */
  async #port() {
    const port = await freePort()
    if (this.#ports.has(port)) return this.#port()
    this.#ports.add(port)
    return port
  }

  /** Each of them tells the others of itself. */
  async #meet(nodes) {
    const pairs = nodes.flatMap((one) =>
      nodes.filter((other) => other !== one).map((other) => [one, other]),
    )
    await Promise.all(
      pairs.map(([one, { host, port, tlsPort, busPort }]) =>
        this.#call(one, 'CLUSTER', 'MEET', host, tlsPort ?? port, busPort),
      ),
    )
  }

  /** Makes an empty node a replica. It must have heard of its master first. */
  async #replicate(node, master) {
    const id = await this.#call(master, 'CLUSTER', 'MYID')
    await until(() => this.#ask(node, 'CLUSTER', 'REPLICATE', id))
  }

  async #moveSlots(slots, from, to, midway) {
    const [source, target] = await Promise.all(
      [from, to].map((node) => this.#call(node, 'CLUSTER', 'MYID')),
    )
    const others = (await this.masters()).filter((node) => node !== from && node !== to)
    for (let at = 0; at < slots.length; at += AT_ONCE) {
      const some = slots.slice(at, at + AT_ONCE)
      const forEach = (node, command, ...words) => this.#forEach(some, node, command, ...words)
      await forEach(to, 'SETSLOT', 'IMPORTING', source)
      await forEach(from, 'SETSLOT', 'MIGRATING', target)
      const keys = await forEach(from, 'GETKEYSINSLOT', 100_000)
      for (const key of keys.flat()) await this.#migrate(key, from, to)
      await midway?.()
      // The new owner first: from then on there is one.
      await forEach(to, 'SETSLOT', 'NODE', target)
      for (const node of [from, ...others]) {
        // Refused by who has heard of it already and has become a replica, as it has no slots now.
        await forEach(node, 'SETSLOT', 'NODE', target).catch(() => {})
      }
    }
  }

  /** The replies of a node to a command about each slot. */
  async #forEach(slots, node, command, ...words) {
    const pipeline = this.#clients.get(node).pipeline()
    for (const slot of slots) pipeline.call('CLUSTER', command, slot, ...words)
    return (await pipeline.exec()).map(([error, reply]) => {
      if (error) throw error
      return reply
    })
  }

  async #migrate(key, from, to) {
    const { password } = this.#options
    const login = password ? ['AUTH', password] : []
    await this.#call(from, 'MIGRATE', to.host, to.tlsPort ?? to.port, key, 0, 5000, ...login)
  }

  #agree(told) {
    const working = this.nodes.filter(({ works }) => works)
    if (told.length !== working.length) return false
    const owners = (all) =>
      JSON.stringify(
        all
          .filter(({ slots }) => slots.size > 0)
          .map(({ id, slots }) => [id, [...slots]])
          .sort(),
      )
    const first = owners(told[0].known)
    const ids = new Set(told.map(({ self }) => self.id))
    return told.every(({ known, role, state }) => {
      const alive = known.filter(({ failed }) => !failed)
      return (
        state === 'ok' &&
        alive.length === told.length &&
        alive.every(({ id }) => ids.has(id)) &&
        owners(alive) === first &&
        (role[0] === 'master' || role[3] === 'connected')
      )
    })
  }

  /** What each node that works tells of all, itself, its role and the state of the cluster. */
  async #told() {
    const told = this.nodes
      .filter(({ works }) => works)
      .map(async (node) => {
        const text = await this.#ask(node, 'CLUSTER', 'NODES')
        const role = await this.#ask(node, 'ROLE')
        const info = await this.#ask(node, 'CLUSTER', 'INFO')
        const state = /cluster_state:(\w+)/.exec(info)?.[1]
        if (text === undefined || role === undefined) return []
        const known = text.trim().split('\n').map(parse)
        return [{ node, text, role, state, known, self: known.find(({ isSelf }) => isSelf) }]
      })
    return (await Promise.all(told)).flat()
  }

  #call(node, ...words) {
    return this.#clients.get(node).call(...words)
  }

  /** The reply of a node; nothing, if it refuses or does not answer. */
  #ask(node, ...words) {
    return this.#call(node, ...words).catch(() => undefined)
  }
}

/** A line of CLUSTER NODES. */
function parse(line) {
  const [id, , flags, master, , , epoch, , ...ranges] = line.split(' ')
  const is = (flag) => flags.split(',').includes(flag)
  const slots = new Set()
  for (const range of ranges) {
    if (range.startsWith('[')) continue // It migrates.
    const [from, to = from] = range.split('-').map(Number)
    for (let slot = from; slot <= to; slot++) slots.add(slot)
  }
  const failed = is('fail') || is('noaddr')
  return {
    id,
    master,
    slots,
    failed,
    epoch: Number(epoch),
    isSelf: is('myself'),
    isMaster: is('master'),
  }
}

module.exports = { ClusterGroup }
