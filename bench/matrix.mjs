// What is measured, and of whom. Not everything with everything: what the goals ask for, and one
// step to each side of it.

import {
  GLIDE,
  IOREDIS,
  IOREDIS_AUTO,
  IOREDIS_SCRIPT,
  NODE_REDIS,
  OURS,
  OURS_CACHED,
  OURS_MEMORY,
  OURS_ONE,
  RAW_SOCKET,
  REDIS_BENCHMARK,
  REFERENCE,
} from './contenders/index.mjs'
import { CLUSTER, PLAIN, TLS, TLS_DELAYED } from './networks.mjs'

export const DESIGNS = [OURS, REFERENCE]
export const ENGINES = [OURS, OURS_MEMORY]
const CLIENTS = [IOREDIS, IOREDIS_AUTO, NODE_REDIS, GLIDE]
const ALL = [...DESIGNS, ...CLIENTS]
const WRITERS = [...ALL, IOREDIS_SCRIPT]

/** Updates a second at a subscriber, by all instances together. */
export const ARRIVALS = 20_000

export const LOOP_DELAY = 'event loop delay at 20 k updates a second'
export const SQLITE_DRAIN = 'drain into SQLite'
export const FOOTPRINT = 'hold sessions of 1 KB'
export const EXPIRY = 'get while sessions expire'
export const INSTANCES = 'memory of a node for 100 instances'
export const AUDIT_AT_REST = 'audit worker without work'
export const RECORD_LATENCY = 'record to PostgreSQL'

/**
 * In this order. `inFlight` 1 and 64 are what the goals are about, and get twice the time.
 *
 * An `update` is locked by its version. An `update, audited` leaves a record for the audit, which
 * waits in Redis; that of an `update, carried` is stored by a worker in the contender's process.
 *
 * @typedef {{ operation: string, contenders: string[], inFlight: number[], participants?: number,
 *   share?: number }} Row
 *
 * @type {Record<string, Row[]>}
 */
const ROWS = {
  [PLAIN]: [
    { operation: 'get', contenders: [...ALL, OURS_CACHED, RAW_SOCKET], inFlight: [1] },
    { operation: 'get', contenders: ALL, inFlight: [16] },
    { operation: 'get', contenders: [...ALL, OURS_CACHED], inFlight: [64] },
    { operation: 'get', contenders: ALL, inFlight: [256] },
    { operation: 'get', contenders: ALL, inFlight: [64], participants: 100 },
    { operation: 'getSessions', contenders: ALL, inFlight: [1, 16] },
    { operation: 'update', contenders: [...WRITERS, RAW_SOCKET], inFlight: [1] },
    { operation: 'update', contenders: WRITERS, inFlight: [16] },
    { operation: 'update', contenders: [...WRITERS, REDIS_BENCHMARK], inFlight: [64] },
    { operation: 'update', contenders: WRITERS, inFlight: [256] },
    { operation: 'update', contenders: WRITERS, inFlight: [64], participants: 100 },
    { operation: 'update, audited', contenders: ALL, inFlight: [1] },
    { operation: 'update, audited', contenders: [...ALL, REDIS_BENCHMARK], inFlight: [64] },
    { operation: 'update, carried', contenders: DESIGNS, inFlight: [1, 16, 64, 256] },
    // The deletions take less time, as they delete what was created.
    { operation: 'create', contenders: DESIGNS, inFlight: [1] },
    { operation: 'delete', contenders: DESIGNS, inFlight: [1], share: 0.5 },
    { operation: 'create', contenders: DESIGNS, inFlight: [64] },
    { operation: 'delete', contenders: DESIGNS, inFlight: [64], share: 0.5 },
    { operation: 'update to callback', contenders: DESIGNS, inFlight: [1, 16] },
    { operation: 'broadcast to callback', contenders: DESIGNS, inFlight: [1] },
    { operation: LOOP_DELAY, contenders: DESIGNS, inFlight: [0] },
  ],
  [TLS]: [
    { operation: 'get', contenders: ALL, inFlight: [1, 64] },
    { operation: 'get', contenders: ALL, inFlight: [64], participants: 100 },
    { operation: 'update', contenders: WRITERS, inFlight: [1, 64] },
  ],
  [TLS_DELAYED]: [
    { operation: 'get', contenders: ALL, inFlight: [1, 64] },
    { operation: 'update', contenders: WRITERS, inFlight: [1, 64] },
    { operation: 'update, carried', contenders: DESIGNS, inFlight: [1, 64] },
  ],
}

export const NETWORKS = Object.keys(ROWS)

/**
 * @typedef {object} Cell contenders that are compared with each other
 * @property {string} network
 * @property {string} mode
 * @property {string} operation
 * @property {number} inFlight
 * @property {number} participants
 * @property {string[]} contenders
 * @property {number} weight
 */

/** The store in the process beside Redis. */
const OF_MEMORY = ['get', 'update', 'update, carried'].map((operation) => ({
  operation,
  contenders: ENGINES,
  inFlight: [1, 64],
}))

/** This module in a cluster beside clusters' clients, and beside itself on one server. */
const OF_CLUSTER = [
  ...['get', 'update'].map((operation) => ({
    operation,
    contenders: [OURS, OURS_ONE, IOREDIS, GLIDE],
    inFlight: [1, 64],
  })),
  { operation: LOOP_DELAY, contenders: [OURS, OURS_ONE], inFlight: [0] },
]
const OF_CLUSTERS_AUDIT = [
  { operation: 'update, carried', contenders: [OURS, OURS_ONE], inFlight: [64] },
]

/** @param {string} network @param {string} mode its name */
export const cellsOf = (network, mode) => cellsOfRows(ROWS[network], network, mode)

/** @param {string} mode its name */
export const memoryCells = (mode) => cellsOfRows(OF_MEMORY, PLAIN, mode)

/** Apart are those with a worker, which also costs while others have their turns. @param {string} mode its name */
export const clusterCells = (mode) =>
  [OF_CLUSTER, OF_CLUSTERS_AUDIT].map((rows) => cellsOfRows(rows, CLUSTER, mode))

/** @returns {Cell[]} */
function cellsOfRows(rows, network, mode) {
  return rows.flatMap((row) => {
    const { operation, contenders, participants = 2, share = 1 } = row
    return row.inFlight.map((inFlight) => {
      const weight = share * (inFlight === 1 || inFlight === 64 ? 2 : 1)
      return { network, mode, operation, inFlight, participants, contenders, weight }
    })
  })
}

/** Of what has no calls in flight. @param {string} operation @param {string} mode its name */
export const cellOf = (operation, mode, network = PLAIN) => ({
  network,
  mode,
  operation,
  inFlight: 0,
  participants: 2,
})

/** Identifies a cell. */
export const keyOf = ({ network, mode, operation, inFlight, participants }) =>
  `${operation}/${network}/${mode}/${inFlight}/${participants}`
