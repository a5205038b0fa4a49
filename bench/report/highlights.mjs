// The figures that docs/performance.md shows, as a plot and as a table.

import { OURS, OURS_ALL, OURS_CACHED } from '../contenders/index.mjs'
import {
  AUDIT_AT_REST,
  EXPIRY,
  FOOTPRINT,
  INSTANCES,
  LOOP_DELAY,
  RECORD_LATENCY,
  SQLITE_DRAIN,
} from '../matrix.mjs'
import { CLUSTER, PLAIN, TLS, TLS_DELAYED } from '../networks.mjs'
import { megabytes, percent, perSecond, tenthsOfMegabytes, time } from './words.mjs'

/** How a figure is written, and whether more of it is better. */
const FIGURES = {
  p50: { words: 'median', write: time, more: false },
  p99: { words: '99th percentile', write: time, more: false },
  ops: { words: 'a second', write: perSecond, more: true },
  jsCpu: { words: 'CPU of the JS thread', write: time, more: false },
  cpu: { words: 'CPU of the process', write: time, more: false },
  redisCpu: { words: 'CPU of Redis', write: time, more: false },
  longest: { words: 'longest', write: time, more: false },
  load: { words: 'CPU of the busiest node', write: percent, more: false },
  own: { words: 'memory of a node but for sessions', write: tenthsOfMegabytes, more: false },
  ledgers: { words: 'ledgers in it', write: tenthsOfMegabytes, more: false },
  connections: { words: 'connections in it', write: tenthsOfMegabytes, more: false },
  scripts: { words: 'scripts in it', write: tenthsOfMegabytes, more: false },
  listeners: { words: 'when all listen, besides', write: tenthsOfMegabytes, more: false },
  peak: { words: 'RSS at once', write: megabytes, more: false },
  rss: { words: 'RSS at rest', write: megabytes, more: false },
  calm: { words: 'longest before', write: time, more: false },
  busy: { words: 'longest meanwhile', write: time, more: false },
}

/** Title, operation, in flight, figure; then what is not plain and two participants. */
const PLOTTED = [
  ['getSession, 1 in flight', 'get', 1, 'p50'],
  ['getSession, 64 in flight', 'get', 64, 'ops'],
  ['locked update, 1 in flight', 'update', 1, 'p50'],
  ['locked update, 64 in flight', 'update', 64, 'ops'],
  ['getSession by TLS, 64 in flight', 'get', 64, 'ops', { network: TLS }],
  ['locked update by TLS, 64 in flight', 'update', 64, 'ops', { network: TLS }],
  ['getSession, 64 in flight', 'get', 64, 'jsCpu'],
  ['locked update, 64 in flight', 'update', 64, 'jsCpu'],
  ['audited update beside its worker, 64 in flight', 'update, carried', 64, 'ops'],
  ['audit records into PostgreSQL', 'drain', 0, 'ops'],
  ['update to a callback in another process', 'update to callback', 1, 'p50'],
]

const TABLED = [
  ...PLOTTED,
  ['getSession by TLS, 1 in flight', 'get', 1, 'p50', { network: TLS }],
  ['locked update by TLS, 1 in flight', 'update', 1, 'p50', { network: TLS }],
  ['getSession by TLS, 0.5 ms each way, 64 in flight', 'get', 64, 'ops', { network: TLS_DELAYED }],
  [
    'locked update by TLS, 0.5 ms each way, 1 in flight',
    'update',
    1,
    'p50',
    { network: TLS_DELAYED },
  ],
  ['locked update with audit, 1 in flight', 'update, audited', 1, 'p50'],
  ['locked update with audit, 64 in flight', 'update, audited', 64, 'ops'],
  ['getSession from the near cache, 1 in flight', 'get', 1, 'p50', { whose: OURS_CACHED }],
  ['getSessions of 50, 1 in flight', 'getSessions', 1, 'p50'],
  ['getSession, 100 participants, 64 in flight', 'get', 64, 'ops', { participants: 100 }],
  ['locked update, 100 participants, 64 in flight', 'update', 64, 'ops', { participants: 100 }],
  ['createSession, 64 in flight', 'create', 64, 'ops'],
  ['deleteSession, 64 in flight', 'delete', 64, 'ops'],
  ['broadcast to a callback in another process', 'broadcast to callback', 1, 'p50'],
  ['event loop delay while 20 k updates/s arrive', LOOP_DELAY, 0, 'p99'],
]

const OF_MEMORY = [
  ['getSession, 1 in flight', 'get', 1, 'p50'],
  ['getSession, 64 in flight', 'get', 64, 'ops'],
  ['locked update, 1 in flight', 'update', 1, 'p50'],
  ['locked update, 64 in flight', 'update', 64, 'ops'],
  ['audited update beside its worker, 1 in flight', 'update, carried', 1, 'p50'],
  ['audited update beside its worker, 64 in flight', 'update, carried', 64, 'ops'],
  ['audit records into a SQLite file', SQLITE_DRAIN, 0, 'ops'],
  ['100 000 sessions of 1 KB', FOOTPRINT, 0, 'peak'],
  ['100 000 sessions of 1 KB', FOOTPRINT, 0, 'rss'],
  ['getSession while 10 000 sessions expire', EXPIRY, 0, 'calm'],
  ['getSession while 10 000 sessions expire', EXPIRY, 0, 'busy'],
]

const OF_CLUSTER = [
  ['getSession, 1 in flight', 'get', 1, 'p50'],
  ['getSession, 64 in flight', 'get', 64, 'ops'],
  ['getSession, 64 in flight', 'get', 64, 'cpu'],
  ['getSession, 64 in flight', 'get', 64, 'redisCpu'],
  ['locked update, 1 in flight', 'update', 1, 'p50'],
  ['locked update, 64 in flight', 'update', 64, 'ops'],
  ['locked update, 64 in flight', 'update', 64, 'cpu'],
  ['locked update, 64 in flight', 'update', 64, 'redisCpu'],
  ['audited update beside its worker, 64 in flight', 'update, carried', 64, 'ops'],
  ['audited update beside its worker, 64 in flight', 'update, carried', 64, 'cpu'],
  ['audited update beside its worker, 64 in flight', 'update, carried', 64, 'redisCpu'],
  ['subscriber of 20 k updates/s, a message', LOOP_DELAY, 0, 'cpu'],
  ['subscriber of 20 k updates/s, a message', LOOP_DELAY, 0, 'redisCpu'],
  ['100 instances on 64 partitions', INSTANCES, 0, 'own'],
  ['100 instances on 64 partitions', INSTANCES, 0, 'ledgers'],
  ['100 instances on 64 partitions', INSTANCES, 0, 'connections'],
  ['100 instances on 64 partitions', INSTANCES, 0, 'scripts'],
  ['100 instances on 64 partitions', INSTANCES, 0, 'listeners'],
  ['audit record into PostgreSQL', RECORD_LATENCY, 0, 'p50'],
  ['audit record into PostgreSQL', RECORD_LATENCY, 0, 'longest'],
  ['audit worker without work', AUDIT_AT_REST, 0, 'load'],
].map((row) => [...row, { network: CLUSTER }])

/**
 * @typedef {object} Highlight
 * @property {string} title
 * @property {string} mode
 * @property {(typeof FIGURES)['p50']} figure
 * @property {{ contender: string, median: number, min: number, max: number }[]} values
 */

/** @returns {Highlight[]} */
export const plotted = (outcome) => PLOTTED.flatMap((row) => find(outcome, row))

/** @returns {Highlight[]} */
export const tabled = (outcome) => TABLED.flatMap((row) => find(outcome, row))

/** Of the store in the process, beside Redis. @returns {Highlight[]} */
export const tabledOfMemory = (outcome) =>
  OF_MEMORY.flatMap((row) => find(outcome, row, { hidden: [] }))

/** Of a cluster, beside one server. @returns {Highlight[]} */
export const tabledOfCluster = (outcome) =>
  OF_CLUSTER.flatMap((row) => find(outcome, row, { hidden: [] }))

/** One for each mode in which it was measured; ours is `whose` alone, unless nothing is hidden. */
function find(
  { results, setting },
  [title, operation, inFlight, figure, options = {}],
  { hidden = OURS_ALL } = {},
) {
  const { whose = OURS, ...rest } = options
  return setting.modes.flatMap(({ name: mode }) => {
    const cell = { network: PLAIN, mode, participants: 2, operation, inFlight, ...rest }
    const values = results
      .filter((one) => Object.keys(cell).every((name) => one[name] === cell[name]))
      .filter(({ contender }) => contender === whose || !hidden.includes(contender))
      .filter(({ figures }) => figures[figure])
      .map(({ contender, figures }) => ({
        contender: contender === whose ? OURS : contender,
        ...figures[figure],
      }))
    return values.length > 0 ? [{ title, mode, figure: FIGURES[figure], values }] : []
  })
}
