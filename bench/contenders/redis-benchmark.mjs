import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
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
  #url
  #update
  #commands = new Map()
  /** So many a millisecond, as it was seen last: it wants a number and not a time. */
  #perMs

  /** @param {import('./index.mjs').Setting} setting */
  constructor({ url, update }) {
    this.#url = new URL(url)
    this.#update = update
  }

  async turn({ inFlight, participants }, ms) {
    const words = await this.#commandFor(participants)
    const count = Math.ceil(this.#perMs === undefined ? FIRST_COUNT : this.#perMs * ms)
    const connections = Math.min(CONNECTIONS, inFlight)
    const args = ['-h', this.#url.hostname, '-p', this.#url.port, '--csv', '-n', count]
    args.push('-c', connections, '-P', inFlight / connections, ...words)
    const { stdout } = await promisify(execFile)('redis-benchmark', args.map(String))
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

  async leave() {}

  async #commandFor(participants) {
    if (!this.#commands.has(participants)) {
      const updates = new Updates(this.#update, makeSession(participants))
      const redis = new Redis(this.#url.href)
      await redis.set(updates.key, updates.stored)
      const answer = await redis.call(...updates.repeatable)
      await redis.quit()
      if (typeof answer !== 'number') throw new Error(`the update was refused: ${answer}`)
      this.#commands.set(participants, updates.repeatable)
    }
    return this.#commands.get(participants)
  }
}
