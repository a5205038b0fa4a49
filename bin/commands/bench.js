'use strict'

const { randomUUID } = require('node:crypto')
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
    after the other, and ${TOGETHER} at a time. It writes one session under a key prefix and a channel of its own, which
    it deletes afterwards; nothing is audited. Run it where the service runs. It puts load on Redis.`,
  options: {
    seconds: { type: 'string', value: '<n>', help: 'how long each part takes. Default: 2' },
  },
  examples: ['bench --yes', 'bench --yes --seconds 5 --json'],

  async run({ servers, settings, values, paper, progress, checkpoint }) {
    const seconds = count(values.seconds, '--seconds', { most: 60, otherwise: 2 })
    if (!settings.yes) {
      return {
        json: { would: 'bench', seconds },
        lines: [
          `would write to a session of its own on ${servers.redisAddress} for some ${6 * seconds} s; pass --yes to do it`,
        ],
        code: ExitCode.WOULD_CHANGE,
      }
    }
    const { topology, nodes } = await readRedis(servers)
    const manager = servers.unaudited(NAMES)
    const id = randomUUID()
    const game = { sync_mode: 'global', status: 'pending', participants: [] }
    const first = { session_id: id, ...game }
    await manager.createSession(first)
    let version = 1
    const ways = {
      ping: () => servers.client.ping(),
      read: () => manager.getSession(id),
      update: async () => {
        await manager.updateSession(id, { ...first, version }, version)
        version++
      },
    }
    /** @type {Record<string, Measured>} */
    const measured = {}
    const parts = Object.entries(ways)
    const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
    let idleMs = 0
    try {
      idleMs = await lagOf(delay, seconds)
      for (const [at, [name, call]] of parts.entries()) {
        checkpoint()
        progress.show(at / parts.length, name)
        const alone = await oneByOne(call, seconds * 1000, checkpoint)
        // Locked updates of one session exclude each other: together they are what modifySession is for.
        const busy = name === 'update' ? () => manager.touchSession(id) : call
        measured[name === 'update' ? 'locked update' : name] = {
          ...alone,
          perSecond: await together(busy, seconds * 1000, checkpoint),
        }
      }
    } finally {
      progress.end()
      await manager.deleteSession(id)
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
 * How late the event loop is while it has nothing to do.
 *
 * @param {ReturnType<typeof monitorEventLoopDelay>} delay
 * @param {number} seconds
 */
async function lagOf(delay, seconds) {
  delay.enable()
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  delay.disable()
  return Math.max(0, delay.percentile(99) / 1e6 - RESOLUTION_MS)
}

/** @param {() => Promise<unknown>} call @param {number} forMs @param {() => void} checkpoint */
async function oneByOne(call, forMs, checkpoint) {
  /** @type {number[]} */
  const times = []
  const end = performance.now() + forMs
  for (let now = performance.now(); now < end; ) {
    await call()
    const then = performance.now()
    times.push(then - now)
    now = then
    if (times.length % 1000 === 0) checkpoint()
  }
  if (times.length === 0) throw new CommandError('nothing was measured')
  times.sort((one, other) => one - other)
  const at = (/** @type {number} */ share) =>
    times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
  return { p50Ms: at(0.5), p99Ms: at(0.99), mostMs: at(1) }
}

/** How many calls a second settle. @param {() => Promise<unknown>} call @param {number} forMs @param {() => void} checkpoint */
async function together(call, forMs, checkpoint) {
  let calls = 0
  const began = performance.now()
  const lane = async () => {
    while (performance.now() - began < forMs) {
      await call()
      calls++
    }
  }
  await Promise.all(Array.from({ length: TOGETHER }, lane))
  checkpoint()
  return (calls * 1000) / (performance.now() - began)
}

/** @param {number} idleMs @param {number} pingMs */
function verdict(idleMs, pingMs) {
  if (idleMs > BUSY_MS)
    return `It is us: this process is ${idleMs.toFixed(0)} ms behind without any load. The machine is too busy.`
  if (pingMs > QUICK_MS)
    return `It is Redis, or the way to it: a ping takes ${pingMs.toFixed(1)} ms while this process is idle.`
  return 'Neither: Redis is quick from here. If the service is slow, look at its own event loop and callbacks.'
}
