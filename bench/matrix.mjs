// What is measured, of whom, and for how long. Not everything with everything: what the goals ask
// for, and one step to each side of it.

import {
  GLIDE,
  IOREDIS,
  IOREDIS_AUTO,
  IOREDIS_BARE,
  NODE_REDIS,
  OURS,
  OURS_CACHED,
  RAW_SOCKET,
  REDIS_BENCHMARK,
  REFERENCE,
} from './contenders/index.mjs'

const DESIGNS = [OURS, REFERENCE]
const CLIENTS = [IOREDIS, IOREDIS_AUTO, NODE_REDIS, GLIDE]
const ALL = [...DESIGNS, ...CLIENTS]

/** Updates a second at a subscriber, by all instances together. */
export const ARRIVALS = 20_000

export const LOOP_DELAY = 'event loop delay at 20 k updates a second'

/**
 * In this order. `inFlight` 1 and 64 are what the goals are about, and get twice the time.
 *
 * @typedef {{ operation: string, contenders: string[], inFlight: number[], participants?: number,
 *   share?: number }} Row
 *
 * @type {Record<'loopback' | 'distant', Row[]>}
 */
const ROWS = {
  loopback: [
    {
      operation: 'get',
      contenders: [...ALL, OURS_CACHED, IOREDIS_BARE, RAW_SOCKET],
      inFlight: [1],
    },
    { operation: 'get', contenders: ALL, inFlight: [16] },
    { operation: 'get', contenders: [...ALL, OURS_CACHED], inFlight: [64] },
    { operation: 'get', contenders: ALL, inFlight: [256] },
    { operation: 'get', contenders: [OURS], inFlight: [1024, 4096] },
    { operation: 'get', contenders: ALL, inFlight: [64], participants: 100 },
    { operation: 'getSessions', contenders: ALL, inFlight: [1, 16] },
    { operation: 'update', contenders: [...ALL, RAW_SOCKET], inFlight: [1] },
    { operation: 'update', contenders: ALL, inFlight: [16] },
    { operation: 'update', contenders: [...ALL, REDIS_BENCHMARK], inFlight: [64, 256] },
    { operation: 'update', contenders: [OURS], inFlight: [1024, 4096] },
    { operation: 'update', contenders: ALL, inFlight: [64], participants: 100 },
    { operation: 'update, carried', contenders: DESIGNS, inFlight: [1, 16, 64, 256] },
    // What was created is deleted, in less time.
    { operation: 'create', contenders: DESIGNS, inFlight: [1] },
    { operation: 'delete', contenders: DESIGNS, inFlight: [1], share: 0.5 },
    { operation: 'create', contenders: DESIGNS, inFlight: [64] },
    { operation: 'delete', contenders: DESIGNS, inFlight: [64], share: 0.5 },
    { operation: 'update to callback', contenders: DESIGNS, inFlight: [1, 16] },
    { operation: 'broadcast to callback', contenders: DESIGNS, inFlight: [1] },
    { operation: LOOP_DELAY, contenders: DESIGNS, inFlight: [0] },
  ],
  distant: [
    { operation: 'get', contenders: [...ALL, RAW_SOCKET], inFlight: [1] },
    { operation: 'get', contenders: ALL, inFlight: [64] },
    { operation: 'update', contenders: ALL, inFlight: [1, 64] },
    { operation: 'update, carried', contenders: DESIGNS, inFlight: [1, 64] },
  ],
}

/** Each way, by the proxy that all go through. */
export const DELAY_MS = 1

export const NETWORKS = Object.keys(ROWS)

/**
 * @typedef {object} Cell contenders that are compared with each other
 * @property {string} network
 * @property {string} operation
 * @property {number} inFlight
 * @property {number} participants
 * @property {string[]} contenders
 * @property {number} weight
 */

/** @param {string} network @returns {Cell[]} */
export function cellsOf(network) {
  return ROWS[network].flatMap((row) => {
    const { operation, contenders, participants = 2, share = 1 } = row
    return row.inFlight.map((inFlight) => {
      const weight = share * (inFlight === 1 || inFlight === 64 ? 2 : 1)
      return { network, operation, inFlight, participants, contenders, weight }
    })
  })
}

/** What names a cell. */
export const keyOf = ({ network, operation, inFlight, participants }) =>
  `${operation}/${network}/${inFlight}/${participants}`

/** How long a run is: rounds, milliseconds of a turn of weight 1, records to drain. */
export const EFFORTS = {
  full: {
    rounds: 5,
    ms: 90,
    startMs: 1000,
    warmUpMs: 60,
    watchMs: 1000,
    drains: 3,
    records: 50_000,
    few: 5000,
  },
  quick: {
    rounds: 3,
    ms: 40,
    startMs: 300,
    warmUpMs: 30,
    watchMs: 500,
    drains: 1,
    records: 20_000,
    few: 2000,
  },
  smoke: {
    rounds: 1,
    ms: 10,
    startMs: 0,
    warmUpMs: 0,
    watchMs: 100,
    drains: 1,
    records: 1000,
    few: 200,
  },
}

/** Calls after which the memory is looked at. */
export const SOAK = [100_000, 1_000_000, 5_000_000]
