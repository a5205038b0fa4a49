/**
 * Who is measured. Each runs in a process of its own, which loads no other.
 *
 * A contender's `open` connects and returns its operations and `close`. An operation makes ready
 * what so many calls in flight need, and returns what runs one call of the loop with this number:
 * each loop has a session of its own, so that locked updates do not meet.
 *
 * @typedef {object} Setting
 * @property {import('../networks.mjs').Address} redis
 * @property {import('../networks.mjs').Address} one the server by itself, also where `redis` is a cluster
 * @property {string} databaseUrl
 * @property {import('../workload/captured-update.mjs').CapturedUpdate
 *   | import('../workload/captured-update.mjs').CapturedUpdate[]} update in a cluster one for each partition
 * @property {import('../workload/captured-update.mjs').CapturedUpdate} auditedUpdate
 *
 * @typedef {object} Opened
 * @property {Record<string, (size: { loops: number, participants: number }) => Promise<Operation>>} operations
 * @property {Record<string, (...args: any[]) => Promise<unknown>>} [roles] what else it can be: a
 *   subscriber, a worker
 * @property {() => Promise<unknown>} close
 *
 * @typedef {object} Operation
 * @property {(loop: number) => Promise<unknown>} run resolves to `OUT_OF_STOCK` where nothing is left to do
 * @property {() => Promise<unknown>} [settled] where `run` leaves work behind: that it is done
 */

export const OURS = 'synckairos-state'
export const OURS_CACHED = 'synckairos-state, near cache'
export const OURS_MEMORY = 'synckairos-state, memory:'
export const OURS_ONE = 'synckairos-state, one server'
export const REFERENCE = 'reference design'
export const IOREDIS = 'ioredis'
export const IOREDIS_AUTO = 'ioredis, auto-pipelined'
export const IOREDIS_SCRIPT = 'ioredis, bare script'
export const NODE_REDIS = 'node-redis'
export const GLIDE = 'valkey-glide'
export const RAW_SOCKET = 'raw socket'
/** No process of Node: `redis-benchmark.mjs` and `../measures/drain.mjs` know them. */
export const REDIS_BENCHMARK = 'redis-benchmark'
export const COPY = 'COPY'

/** By name: where it is, and with which options it is opened. */
const CONTENDERS = {
  [OURS]: { file: './synckairos-state.mjs', options: {} },
  [OURS_CACHED]: { file: './synckairos-state.mjs', options: { cache: {} } },
  // The store is there until the contender ends, between a queue and the next as well.
  [OURS_MEMORY]: { file: './synckairos-state.mjs', options: { url: 'memory:?keep' } },
  // Beside itself in a cluster.
  [OURS_ONE]: { file: './synckairos-state.mjs', options: { alone: true } },
  [REFERENCE]: { file: './reference.mjs' },
  [IOREDIS]: { file: './ioredis.mjs', options: {} },
  [IOREDIS_AUTO]: { file: './ioredis.mjs', options: { autoPipelining: true } },
  [IOREDIS_SCRIPT]: { file: './ioredis.mjs', options: { ownScript: true } },
  [NODE_REDIS]: { file: './node-redis.mjs' },
  [GLIDE]: { file: './valkey-glide.mjs' },
  [RAW_SOCKET]: { file: './raw-socket.mjs' },
}

/** This module, whichever way it is used. */
export const OURS_ALL = [OURS, OURS_CACHED, OURS_MEMORY, OURS_ONE]

/** These show how fast it could be done at all; no service would do it so. */
export const FLOORS = [RAW_SOCKET, REDIS_BENCHMARK, COPY]

/** Its place among those that are shown; floors that are no process of Node come last. */
export function placeOf(name) {
  const place = Object.keys(CONTENDERS).indexOf(name)
  return place < 0 ? Number.POSITIVE_INFINITY : place
}

/** The name of the queue whose records no worker takes: they are swept away between the turns. */
export const WAITING_QUEUE = 'bench-waiting'

export const OUT_OF_STOCK = Symbol('nothing is left to do')

/** @param {string} name @param {Setting} setting @returns {Promise<Opened>} */
export async function open(name, setting) {
  const { file, options } = CONTENDERS[name]
  const contender = await import(file)
  return contender.open(setting, options)
}
