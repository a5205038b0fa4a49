import {
  COPY,
  OURS,
  OURS_MEMORY,
  OURS_ONE,
  REDIS_BENCHMARK,
  REFERENCE,
  WAITING_QUEUE,
} from './contenders/index.mjs'
import { RedisBenchmark } from './contenders/redis-benchmark.mjs'
import { SOAK } from './efforts.mjs'
import {
  ARRIVALS,
  AUDIT_AT_REST,
  cellOf,
  cellsOf,
  clusterCells,
  DESIGNS,
  ENGINES,
  EXPIRY,
  FOOTPRINT,
  INSTANCES,
  LOOP_DELAY,
  memoryCells,
  RECORD_LATENCY,
  SQLITE_DRAIN,
} from './matrix.mjs'
import { Measurements } from './measurements.mjs'
import { watchCommands } from './measures/commands.mjs'
import { Drain } from './measures/drain.mjs'
import { nodesAtRest, withCpuOf } from './measures/node-cpu.mjs'
import { nodeMemory } from './measures/node-memory.mjs'
import { sqliteDrain } from './measures/sqlite-drain.mjs'
import { FREE } from './modes.mjs'
import { CLUSTER, openNetwork, PLAIN } from './networks.mjs'
import { ContenderProcess } from './processes/ContenderProcess.mjs'
import { start } from './processes/start.mjs'
import { inTurns } from './turns.mjs'
import { captureUpdates } from './workload/captured-update.mjs'
import { sweep } from './workload/records.mjs'

/** Whose commands are looked at: of the designs, in these operations. */
const WATCHED = ['get', 'update', 'update, audited', 'create', 'delete']

const KILOBYTE = 1024

/** Of a service, by the number of processes that they are in here. */
const PROCESSES = 5
const INSTANCES_EACH = 20

/**
 * One run of the bench. In each mode, on each network, all contenders are there at once, each in
 * its own process, and take turns, never two at a time.
 */
export class Run {
  measurements = new Measurements()
  commands = []
  #servers
  #setting
  #effort
  #progress
  /** Of updates, by the number of the cluster's partition. */
  #channels = []
  #contenders = new Map()
  /** Contenders in a second process, which subscribe. */
  #receivers = new Map()

  /**
   * @param {import('./servers.mjs').Servers} servers
   * @param {import('./contenders/index.mjs').Setting} setting
   * @param {import('./efforts.mjs').Effort} effort
   * @param {(text: string) => void} progress
   */
  constructor(servers, setting, effort, progress) {
    this.#servers = servers
    this.#setting = setting
    this.#effort = effort
    this.#progress = progress
  }

  /** @param {string} name of a network @param {import('./modes.mjs').Mode} mode */
  async network(name, mode) {
    this.#servers.enter(mode)
    const network = await openNetwork(name, this.#servers, mode)
    try {
      await this.#measure(cellsOf(name, mode.name), mode, { redis: network.address })
    } finally {
      await this.close()
      await network.close()
    }
  }

  /** @param {Partial<import('./contenders/index.mjs').Setting>} setting where it differs */
  async #measure(cells, mode, setting) {
    const { rounds, ms } = this.#effort
    const [{ network }] = cells
    const place = `${network}, ${mode.name}`
    const names = [...new Set(cells.flatMap(({ contenders }) => contenders))]
    this.#progress(`${place}: the contenders connect`)
    await this.#open(this.#contenders, names, mode, setting)
    const deliveries = cells.filter(({ operation }) => isDelivery(operation))
    const receivers = new Set(deliveries.flatMap(({ contenders }) => contenders))
    await this.#open(this.#receivers, [...receivers], mode, setting)
    if (names.includes(REFERENCE) && network === PLAIN && mode.name === FREE) {
      await this.#watchCommands(cells)
    }
    await this.#warmUp(cells, names, place, mode)
    for (let round = 0; round < rounds; round++) {
      for (const cell of cells) {
        for (const name of inTurns(cell.contenders, round)) {
          this.#progress(`${place}, round ${round + 1} of ${rounds}: ${wordsOf(cell)}, ${name}`)
          const figures = await this.#turn(cell, name, ms * cell.weight, mode)
          this.measurements.add(cell, name, figures)
        }
      }
    }
  }

  /** Who takes part in one cell only becomes as warm as who takes part in all. */
  async #warmUp(cells, names, place, mode) {
    const { startMs, warmUpMs } = this.#effort
    for (const name of startMs > 0 ? names : []) {
      this.#progress(`${place}, warming up: ${name}`)
      const cell = cells.find(({ contenders }) => contenders.includes(name))
      await this.#turn(cell, name, startMs, mode)
    }
    for (const cell of warmUpMs > 0 ? cells : []) {
      for (const name of cell.contenders) {
        this.#progress(`${place}, warming up: ${wordsOf(cell)}, ${name}`)
        await this.#turn(cell, name, warmUpMs * cell.weight, mode)
      }
    }
  }

  async #open(processes, names, mode, differing = {}) {
    const setting = { ...this.#setting, ...differing }
    const open = (name) =>
      name === REDIS_BENCHMARK
        ? new RedisBenchmark(setting, mode.contenders)
        : ContenderProcess.open(name, setting, mode.contenders)
    const opened = await Promise.all(names.map(open))
    for (const [at, name] of names.entries()) processes.set(name, opened[at])
  }

  /** Which masters a contender uses in the cluster's part of the bench. */
  #mastersOf(name) {
    return name === OURS_ONE ? [this.#servers.client] : this.#servers.masters
  }

  /** Ends when nothing is left behind, so that the next one finds the servers idle. */
  async #turn(cell, name, ms, mode) {
    if (isDelivery(cell.operation)) return this.#delivery(cell, name, ms, mode)
    const turn = () => this.#contenders.get(name).turn(cell, ms)
    if (cell.network === CLUSTER) return withCpuOf(this.#mastersOf(name), turn)
    const figures = await turn()
    await sweep(this.#servers.client, WAITING_QUEUE)
    return figures
  }

  async #delivery(cell, name, ms, mode) {
    const receiver = this.#receivers.get(name)
    await receiver.role('subscribe')
    try {
      if (cell.operation === LOOP_DELAY) {
        const masters = cell.network === CLUSTER ? this.#mastersOf(name) : undefined
        return await this.#arrivals(receiver, masters, mode)
      }
      const { count, ops } = await this.#contenders.get(name).turn(cell, ms)
      return { ops, ...(await receiver.role('delivered', count)) }
    } finally {
      await receiver.role('unsubscribe')
      await sweep(this.#servers.client, WAITING_QUEUE)
    }
  }

  /** @param {import('ioredis').Redis[]} [masters] whose CPU is measured, too */
  async #arrivals(receiver, masters, mode) {
    const { redis, cluster } = this.#servers
    const isCluster = masters !== undefined && masters === this.#servers.masters
    const ports = isCluster ? cluster.nodes.map(({ port }) => port) : [redis.port]
    const channels = isCluster ? this.#channels : []
    const publisher = await start(
      'publisher.mjs',
      [ARRIVALS, JSON.stringify({ ports, channels })],
      mode.servers,
    )
    const { watchMs } = this.#effort
    const watch = () => receiver.role('watchEventLoop', watchMs)
    try {
      await receiver.role('watchEventLoop', watchMs / 4) // Until it is warm.
      return await (masters ? withCpuOf(masters, watch) : watch())
    } finally {
      await publisher.stop()
    }
  }

  async #watchCommands(cells) {
    const watched = cells.filter(
      ({ operation, inFlight }) => inFlight === 1 && WATCHED.includes(operation),
    )
    for (const cell of watched) {
      for (const name of DESIGNS) {
        const contender = this.#contenders.get(name)
        await contender.prepare(cell)
        await contender.once(cell) // Loads the script.
        const seen = await watchCommands(this.#servers.redis.url, () => contender.once(cell))
        this.commands.push({ operation: cell.operation, contender: name, ...seen })
      }
    }
  }

  /** @param {import('./modes.mjs').Mode} mode */
  async drain(mode) {
    const { drains, records, few } = this.#effort
    this.#servers.enter(mode)
    const drain = new Drain(this.#servers.postgres, this.#servers.redis.directory)
    const cell = cellOf('drain', mode.name)
    await this.#open(this.#contenders, DESIGNS, mode)
    const turns = [
      [OURS, (contender) => drain.turn(contender, records)],
      [COPY, () => drain.copy(records)],
      [REFERENCE, (contender) => drain.turn(contender, few)],
    ]
    this.#progress('draining: making the rows to copy')
    await drain.turn(this.#contenders.get(REFERENCE), few / 5)
    await drain.keepRows(this.#contenders.get(OURS), records)
    for (let round = 0; round < drains; round++) {
      for (const [name, turn] of inTurns(turns, round)) {
        this.#progress(`draining, ${mode.name}, round ${round + 1} of ${drains}: ${name}`)
        this.measurements.add(cell, name, await turn(this.#contenders.get(name)))
      }
    }
    await this.close()
  }

  /** A cluster of three masters, and one server beside it. @param {import('./modes.mjs').Mode} mode */
  async cluster(mode) {
    this.#servers.enter(mode)
    const { address: redis } = await openNetwork(CLUSTER, this.#servers, mode)
    const update = await captureUpdates(redis.nodes)
    this.#channels = update.map(({ key }) => `session-updates:${/{.+}/.exec(key)[0]}`)
    for (const cells of clusterCells(mode.name)) {
      try {
        await this.#measure(cells, mode, { redis, update })
      } finally {
        await this.close()
      }
    }
    if (mode.name !== FREE) return
    await this.#auditInCluster(mode, redis)
    await this.#instances(mode, redis)
  }

  /** Of a worker that has all partitions. */
  async #auditInCluster(mode, redis) {
    const { latencies, idleMs } = this.#effort
    await this.#open(this.#contenders, [OURS], mode, { redis })
    const add = (operation, figures) =>
      this.measurements.add(cellOf(operation, mode.name, CLUSTER), OURS, figures)
    try {
      this.#progress(RECORD_LATENCY)
      add(RECORD_LATENCY, await this.#contenders.get(OURS).role('recordLatency', latencies))
      this.#progress(AUDIT_AT_REST)
      add(AUDIT_AT_REST, await nodesAtRest(this.#servers.masters, idleMs))
    } finally {
      await this.close()
    }
  }

  /**
   * What a node holds for instances that have written, but for the sessions; then what it holds besides
   * when all of them listen.
   */
  async #instances(mode, redis) {
    this.#progress(INSTANCES)
    const { masters } = this.#servers
    const look = () => Promise.all(masters.map(nodeMemory))
    await Promise.all(masters.map((node) => node.flushall().then(() => node.script('FLUSH'))))
    const before = await look()
    const setting = { ...this.#setting, redis }
    const processes = await Promise.all(
      Array.from({ length: PROCESSES }, () => ContenderProcess.open(OURS, setting)),
    )
    try {
      for (const one of processes) await one.role('instances', INSTANCES_EACH)
      const written = await look()
      for (const one of processes) await one.role('listen')
      const listening = await look()
      const grown = written.map((after, at) => {
        const of = (part) => (after[part] - before[at][part]) / 1e6
        const [ledgers, connections, scripts] = ['ledgers', 'connections', 'scripts'].map(of)
        const { session, used } = after
        const own = of('used') - of('sessions')
        const listeners = (listening[at].used - used) / 1e6
        return { own, ledgers, connections, scripts, listeners, session }
      })
      const most = grown.reduce((a, b) => (b.own > a.own ? b : a))
      const count = PROCESSES * INSTANCES_EACH
      this.measurements.add(cellOf(INSTANCES, mode.name, CLUSTER), OURS, { count, ...most })
    } finally {
      for (const one of processes) await one.close()
    }
  }

  /** The store in the process beside Redis. @param {import('./modes.mjs').Mode} mode */
  async memory(mode) {
    this.#servers.enter(mode)
    try {
      await this.#measure(memoryCells(mode.name), mode, {})
    } finally {
      await this.close()
    }
    const { rounds, drains, records, sessions, restMs, expiring } = this.#effort
    const { directory } = this.#servers.redis
    const drain = (contender) => sqliteDrain(contender, records, directory)
    const hold = (contender) => contender.role('footprint', sessions, KILOBYTE, restMs)
    const expire = (contender) => contender.role('expiry', expiring)
    for (let round = 0; round < drains; round++) {
      for (const name of inTurns(ENGINES, round)) {
        await this.#alone(SQLITE_DRAIN, name, mode, drain)
      }
      await this.#alone(FOOTPRINT, OURS_MEMORY, mode, hold)
    }
    for (let round = 0; round < rounds; round++) {
      await this.#alone(EXPIRY, OURS_MEMORY, mode, expire)
    }
  }

  /** In a process that does nothing else. */
  async #alone(operation, name, mode, measure) {
    this.#progress(`${operation}, ${mode.name}: ${name}`)
    await this.#open(this.#contenders, [name], mode)
    try {
      const figures = await measure(this.#contenders.get(name))
      this.measurements.add(cellOf(operation, mode.name), name, figures)
    } finally {
      await this.close()
    }
  }

  /** @param {import('./modes.mjs').Mode} mode */
  async soak(mode) {
    this.#progress(`soaking: ${SOAK.at(-1)} calls`)
    this.#servers.enter(mode)
    await this.#open(this.#contenders, [OURS], mode)
    const cells = cellsOf(PLAIN, mode.name).filter(
      ({ operation, inFlight, participants }) =>
        inFlight === 64 && participants === 2 && ['get', 'update, audited'].includes(operation),
    )
    const sweeping = setInterval(() => sweep(this.#servers.client, WAITING_QUEUE), 500)
    try {
      return await this.#contenders.get(OURS).soak(cells, SOAK)
    } finally {
      clearInterval(sweeping)
      await this.close()
    }
  }

  async close() {
    for (const processes of [this.#contenders, this.#receivers]) {
      for (const one of processes.values()) await one.close()
      processes.clear()
    }
  }
}

/** Measured where it arrives, in another process. */
const isDelivery = (operation) => operation.endsWith('to callback') || operation === LOOP_DELAY

const wordsOf = ({ operation, inFlight }) => `${operation}, ${inFlight} in flight`
