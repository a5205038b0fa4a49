'use strict'

const { randomUUID } = require('node:crypto')
const { setTimeout: sleep } = require('node:timers/promises')
const { monitorEventLoopDelay } = require('node:perf_hooks')
const { readRedis } = require('../facts/redis.js')
const { CommandError, ExitCode } = require('../outcome.js')
const { count } = require('../settings.js')

/** The rights of a service cover this prefix and this channel, and no service listens to it. */
const NAMES = Object.freeze({
  keyPrefix: 'synckairos:bench:',
  updatesChannel: 'synckairos:bench',
  ttlSeconds: 60,
})
const TOGETHER = 64
/** Past this delay of the event loop this process, or its machine, is too busy to tell how quick Redis is, ms. */
const BUSY_MS = 20
/** A ping within this time, at the median, is no reason to look at Redis, ms. */
const QUICK_MS = 2
/** What the timer of the measurement itself waits, ms. */
const RESOLUTION_MS = 5

/** @type {import('../command.js').Command} */
module.exports = {
  name: 'bench',
  summary: 'measures this Redis from here: is it Redis, or is it us?',
  help: `
    Measures the delay of this process' event loop, and how long a ping, a read and a locked update take: one
    after the other, and ${TOGETHER} at a time. It writes ${TOGETHER} sessions under a key prefix and a channel of its own,
    and deletes them afterwards; nothing is audited. Run it where the service runs. It puts load on Redis.`,
  options: {
    seconds: { type: 'string', value: '<n>', help: 'how long each part takes. Default: 2' },
  },
  examples: ['bench --yes', 'bench --yes --seconds 5 --json'],

  async run({ servers, settings, values, paper, progress, checkpoint, signal }) {
    const seconds = count(values.seconds, '--seconds', { most: 60, otherwise: 2 })
    if (!settings.yes) {
      return {
        json: { would: 'bench', seconds },
        lines: [
          `would write to sessions of its own on ${servers.redisAddress} for some ${6 * seconds} s; pass --yes to do it`,
        ],
        code: ExitCode.WOULD_CHANGE,
      }
    }
    const { topology, nodes } = await readRedis(servers)
    const manager = servers.unaudited(NAMES)
    const first = new Session(manager)
    const others = Array.from({ length: TOGETHER - 1 }, () => new Session(manager))
    const sessions = [first, ...others]
    /** @type {Record<string, (session: Session) => Promise<unknown>>} */
    const ways = {
      ping: () => servers.client.ping(),
      read: (session) => manager.getSession(session.id),
      'locked update': (session) => session.update(),
    }
    /** @type {Record<string, Measured>} */
    const measured = {}
    const parts = Object.entries(ways)
    const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
    let idleMs = 0
    try {
      await Promise.all(sessions.map((session) => session.create()))
      delay.enable()
      await sleep(seconds * 1000, undefined, { signal }).catch(checkpoint)
      delay.disable()
      idleMs = Math.max(0, delay.percentile(99) / 1e6 - RESOLUTION_MS)
      for (const [at, [name, call]] of parts.entries()) {
        checkpoint()
        progress.show(at / parts.length, name)
        const alone = await oneByOne(call, first, seconds * 1000, checkpoint)
        const perSecond = await together(call, sessions, seconds * 1000, checkpoint)
        measured[name] = { ...alone, perSecond }
      }
    } finally {
      progress.end()
      await Promise.all(sessions.map((session) => session.delete()))
    }
    const says = verdict(idleMs, measured.ping?.p50Ms ?? 0)
    const round = (/** @type {number} */ ms) => ms.toFixed(2)
    const rows = Object.entries(measured).map(([name, { p50Ms, p99Ms, mostMs, perSecond }]) => [
      name,
      round(p50Ms),
      round(p99Ms),
      round(mostMs),
      Math.round(perSecond),
    ])
    const lines = [
      ...paper.pairs([
        ['redis', servers.redisAddress],
        ['topology', topology],
        ['version', nodes[0]?.version],
        ['event loop behind, p99', `${round(idleMs)} ms`],
      ]),
      '',
      ...paper.table(
        ['call', 'median ms', 'p99 ms', 'slowest ms', `per second, ${TOGETHER} at a time`],
        rows,
      ),
      '',
      says,
    ]
    return {
      json: {
        redis: servers.redisAddress,
        topology,
        eventLoopP99Ms: idleMs,
        calls: measured,
        says,
      },
      lines,
    }
  },
}

/** @typedef {{ p50Ms: number, p99Ms: number, mostMs: number, perSecond: number }} Measured */

/**
 * How long the calls take, one after the other.
 *
 * @param {(session: Session) => Promise<unknown>} call
 * @param {Session} session
 * @param {number} forMs
 * @param {() => void} checkpoint
 */
async function oneByOne(call, session, forMs, checkpoint) {
  /** @type {number[]} */
  const times = []
  const end = performance.now() + forMs
  for (let now = performance.now(); now < end; ) {
    await call(session)
    const then = performance.now()
    times.push(then - now)
    now = then
    checkpoint()
  }
  if (times.length === 0) throw new CommandError('nothing was measured')
  times.sort((one, other) => one - other)
  const at = (/** @type {number} */ share) =>
    times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
  return { p50Ms: at(0.5), p99Ms: at(0.99), mostMs: at(1) }
}

/**
 * How many calls a second settle, with a lane for each session.
 *
 * @param {(session: Session) => Promise<unknown>} call
 * @param {Session[]} sessions
 * @param {number} forMs
 * @param {() => void} checkpoint
 */
async function together(call, sessions, forMs, checkpoint) {
  let calls = 0
  const began = performance.now()
  const lanes = sessions.map(async (session) => {
    while (performance.now() - began < forMs) {
      await call(session)
      calls++
      checkpoint()
    }
  })
  await Promise.all(lanes)
  return (calls * 1000) / (performance.now() - began)
}

/** A session of the measurement, and the version that it has. */
class Session {
  id = randomUUID()
  #manager
  #version = 1

  /** @param {InstanceType<typeof import('../../index.js').RedisStateManager>} manager */
  constructor(manager) {
    this.#manager = manager
  }

  create() {
    return this.#manager.createSession(this.#state)
  }

  async update() {
    await this.#manager.updateSession(this.id, this.#state, this.#version)
    this.#version++
  }

  delete() {
    return this.#manager.deleteSession(this.id)
  }

  get #state() {
    return { session_id: this.id, sync_mode: 'global', status: 'pending', participants: [] }
  }
}

/** @param {number} idleMs @param {number} pingMs */
function verdict(idleMs, pingMs) {
  if (idleMs > BUSY_MS)
    return `It is us: this process is ${idleMs.toFixed(0)} ms behind without any load. The machine is too busy.`
  if (pingMs > QUICK_MS)
    return `It is Redis, or the way to it: a ping takes ${pingMs.toFixed(1)} ms while this process is idle.`
  return 'Neither: Redis is quick from here. If the service is slow, look at its own event loop and callbacks.'
}
