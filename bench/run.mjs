import { COPY, OURS, REDIS_BENCHMARK, REFERENCE, WAITING_QUEUE } from './contenders/index.mjs'
import { RedisBenchmark } from './contenders/redis-benchmark.mjs'
import { ARRIVALS, cellsOf, DELAY_MS, LOOP_DELAY, NETWORKS, SOAK } from './matrix.mjs'
import { Measurements } from './measurements.mjs'
import { watchCommands } from './measures/commands.mjs'
import { Drain } from './measures/drain.mjs'
import { Seat } from './processes/Seat.mjs'
import { start } from './processes/start.mjs'
import { sweep } from './workload/records.mjs'

const DESIGNS = [OURS, REFERENCE]
/** Whose commands are looked at, and of which operations. */
const WATCHED = ['get', 'update', 'create', 'delete']
const DRAIN = { network: 'loopback', operation: 'drain', inFlight: 0, participants: 2 }

/**
 * One run of the bench: all contenders are there at once, each in its own process, and take turns,
 * never two at a time.
 */
export class Run {
  measurements = new Measurements()
  commands = []
  #servers
  #setting
  #effort
  #progress
  #seats = new Map()
  #receivers = new Map()

  /**
   * @param {object} servers `redis`, its `client`, `postgres`
   * @param {import('./contenders/index.mjs').Setting} setting
   * @param {(typeof import('./matrix.mjs').EFFORTS)['full']} effort
   * @param {(text: string) => void} progress
   */
  constructor(servers, setting, effort, progress) {
    this.#servers = servers
    this.#setting = setting
    this.#effort = effort
    this.#progress = progress
  }

  async networks() {
    for (const network of NETWORKS) {
      const proxy =
        network === 'distant' &&
        (await start('delay-proxy.mjs', this.#servers.redis.port, DELAY_MS))
      const url = proxy ? `redis://127.0.0.1:${proxy.told}` : this.#setting.url
      try {
        await this.#network(network, { ...this.#setting, url })
      } finally {
        await this.leave()
        if (proxy) await proxy.stop()
      }
    }
  }

  async #network(network, setting) {
    const cells = cellsOf(network)
    const { rounds, ms, startMs, warmUpMs } = this.#effort
    const names = [...new Set(cells.flatMap(({ contenders }) => contenders))]
    this.#progress(`${network}: all take their seats`)
    await this.#take(this.#seats, names, setting)
    if (cells.some(({ operation }) => isHeard(operation))) {
      await this.#take(this.#receivers, DESIGNS, setting)
    }
    if (network === 'loopback') await this.#watchCommands(cells)
    // Who takes part in one cell only is as warm as who takes part in all.
    for (const name of startMs > 0 ? names : []) {
      this.#progress(`${network}, warming up: ${name}`)
      await this.#turn(
        cells.find(({ contenders }) => contenders.includes(name)),
        name,
        startMs,
      )
    }
    for (const cell of warmUpMs > 0 ? cells : []) {
      for (const name of cell.contenders) {
        this.#progress(`${network}, warming up: ${wordsOf(cell)}, ${name}`)
        await this.#turn(cell, name, warmUpMs * cell.weight)
      }
    }
    for (let round = 0; round < rounds; round++) {
      for (const cell of cells) {
        for (const name of inTurns(cell.contenders, round)) {
          this.#progress(`${network}, round ${round + 1} of ${rounds}: ${wordsOf(cell)}, ${name}`)
          this.measurements.add(cell, name, await this.#turn(cell, name, ms * cell.weight))
        }
      }
    }
  }

  async #take(seats, names, setting) {
    const take = (name) =>
      name === REDIS_BENCHMARK ? new RedisBenchmark(setting) : Seat.take(name, setting)
    const taken = await Promise.all(names.map(take))
    for (const [at, name] of names.entries()) seats.set(name, taken[at])
  }

  /** Ends when nothing is left behind, so that the next one finds the servers idle. */
  async #turn(cell, name, ms) {
    const seat = this.#seats.get(name)
    if (isHeard(cell.operation)) return this.#heardTurn(cell, name, ms)
    const figures = await seat.turn(cell, ms)
    await sweep(this.#servers.client, WAITING_QUEUE)
    return figures
  }

  async #heardTurn(cell, name, ms) {
    const receiver = this.#receivers.get(name)
    await receiver.role('subscribe')
    try {
      if (cell.operation === LOOP_DELAY) return await this.#arrivals(receiver)
      const { count, ops } = await this.#seats.get(name).turn(cell, ms)
      return { ops, ...(await receiver.role('delivered', count)) }
    } finally {
      await receiver.role('unsubscribe')
      await sweep(this.#servers.client, WAITING_QUEUE)
    }
  }

  async #arrivals(receiver) {
    const publisher = await start('publisher.mjs', this.#servers.redis.port, ARRIVALS)
    try {
      await receiver.role('watchEventLoop', this.#effort.watchMs / 4) // Until it is warm.
      return await receiver.role('watchEventLoop', this.#effort.watchMs)
    } finally {
      await publisher.stop()
    }
  }

  async #watchCommands(cells) {
    const watched = cells.filter(
      ({ operation, inFlight }) => inFlight === 1 && WATCHED.includes(operation),
    )
    for (const cell of watched) {
      for (const name of cell.contenders.filter((one) => DESIGNS.includes(one))) {
        const seat = this.#seats.get(name)
        await seat.prepare(cell)
        await seat.once(cell) // Loads the script.
        const seen = await watchCommands(this.#setting.url, () => seat.once(cell))
        this.commands.push({ operation: cell.operation, contender: name, ...seen })
      }
    }
  }

  async drain(directory) {
    const { drains, records, few } = this.#effort
    const drain = new Drain(this.#servers.postgres, directory)
    await this.#take(this.#seats, DESIGNS, this.#setting)
    const turns = [
      [OURS, (seat) => drain.turn(seat, records)],
      [COPY, () => drain.copy(records)],
      // It gets fewer, as it needs as many times longer.
      [REFERENCE, (seat) => drain.turn(seat, few)],
    ]
    this.#progress('draining: making the rows to copy')
    await drain.turn(this.#seats.get(REFERENCE), few / 5)
    await drain.keepRows(this.#seats.get(OURS), records)
    for (let round = 0; round < drains; round++) {
      for (const [name, turn] of inTurns(turns, round)) {
        this.#progress(`draining, round ${round + 1} of ${drains}: ${name}`)
        this.measurements.add(DRAIN, name, await turn(this.#seats.get(name)))
      }
    }
    await this.leave()
  }

  async soak() {
    this.#progress(`soaking: ${SOAK.at(-1)} calls`)
    await this.#take(this.#seats, [OURS], this.#setting)
    const cells = cellsOf('loopback').filter(
      ({ operation, inFlight, participants }) =>
        inFlight === 64 && participants === 2 && ['get', 'update'].includes(operation),
    )
    const sweeping = setInterval(() => sweep(this.#servers.client, WAITING_QUEUE), 500)
    try {
      return await this.#seats.get(OURS).soak(cells, SOAK)
    } finally {
      clearInterval(sweeping)
      await this.leave()
    }
  }

  async leave() {
    for (const seats of [this.#seats, this.#receivers]) {
      for (const seat of seats.values()) await seat.leave()
      seats.clear()
    }
  }
}

/** Measured where it is heard, in another process. */
const isHeard = (operation) => operation.endsWith('to callback') || operation === LOOP_DELAY

/** In another order each round, so that nobody always comes after the same neighbour. */
function inTurns(all, round) {
  const left = [...all]
  // Of as many places as there are left, one after the other, by a step that changes: no chance, so
  // that a run can be repeated.
  let at = round
  return all.map((_, turn) => {
    at = (at + round * 7 + turn * 3) % left.length
    return left.splice(at, 1)[0]
  })
}

const wordsOf = ({ operation, inFlight }) => `${operation}, ${inFlight} in flight`
