import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { commandOn } from '../modes.mjs'
import { Updates } from '../workload/captured-update.mjs'
import { makeSession } from '../workload/session.mjs'

/** Pipelines at a time, as the module has at most. */
const CONNECTIONS = 2
const FIRST_COUNT = 2000

/**
 * Redis' own load generator with the same update, over and over: what the server does for a client
 * that costs nothing. It takes its turns like a contender that has a process of its own.
 */
export class RedisBenchmark {
  #address
  #updates
  #cpus
  #commands = new Map()
  /** So many a millisecond, as it was seen last: it wants a number and not a time. */
  #perMs

  /** @param {import('./index.mjs').Setting} setting @param {string} [cpus] any, if left out */
  constructor({ redis, update, auditedUpdate }, cpus) {
    this.#address = redis
    this.#updates = { update, 'update, audited': auditedUpdate }
    this.#cpus = cpus
  }

  async turn({ operation, inFlight, participants }, ms) {
    const words = await this.#commandFor(operation, participants)
    const count = Math.ceil(this.#perMs === undefined ? FIRST_COUNT : this.#perMs * ms)
    const connections = Math.min(CONNECTIONS, inFlight)
    const { host, port } = this.#address
    const args = ['-h', host, '-p', port, '--csv', '-n', count]
    args.push('-c', connections, '-P', inFlight / connections, ...words)
    const command = commandOn(this.#cpus, 'redis-benchmark', args.map(String))
    const { stdout } = await promisify(execFile)(...command)
    // Names, then figures; the first is the command itself, which may hold anything.
    const [names, figures] = stdout
      .trim()
      .split('\n')
      .slice(-2)
      .map((line) => line.slice(1, -1).split('","'))
    const at = (name) => Number(figures.at(names.indexOf(name) - names.length))
    const ops = at('rps')
    this.#perMs = ops / 1000
    return { count, ops, p50: at('p50_latency_ms') * 1000, p99: at('p99_latency_ms') * 1000 }
  }

  async close() {}

  async #commandFor(operation, participants) {
    const key = `${operation}, ${participants} participants`
    if (!this.#commands.has(key)) {
      const updates = new Updates(this.#updates[operation], makeSession(participants))
      const redis = new Redis(this.#address)
      await redis.set(updates.key, updates.stored)
      const answer = await redis.call(...updates.repeatable)
      await redis.quit()
      if (Array.isArray(answer)) throw new Error(`the update was refused: ${answer}`)
      this.#commands.set(key, updates.repeatable)
    }
    return this.#commands.get(key)
  }
}
