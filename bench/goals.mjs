// What the module is to reach, as ratios within one round of one run.

import {
  COPY,
  FLOORS,
  GLIDE,
  IOREDIS,
  IOREDIS_AUTO,
  IOREDIS_BARE,
  OURS,
  OURS_CACHED,
  RAW_SOCKET,
  REDIS_BENCHMARK,
  REFERENCE,
} from './contenders/index.mjs'
import { summarize } from './measures/statistics.mjs'

const GET = cell('get')
const UPDATE = cell('update')
const CARRIED = cell('update, carried')
const CALLBACK = cell('update to callback')
const DRAIN = cell('drain')(0)

/** For a goal that is no comparison. */
const MICROSECOND = 'one µs'

/**
 * `figure` of ours, in `cell`, as a multiple of the peer's there, or of our own in `than`.
 *
 * @typedef {object} Goal
 * @property {string} what
 * @property {string} [whose] ours, if it is not this module as it is by default
 * @property {Parameters<import('./measurements.mjs').Measurements['series']>[0]} cell
 * @property {string} figure
 * @property {string} [peer]
 * @property {typeof GET} [than]
 * @property {number} [atMost]
 * @property {number} [atLeast]
 */
const GOALS = [
  compare('get, 1 in flight, p50', GET(1), 'p50', [
    { peer: IOREDIS_BARE, atMost: 1 },
    { peer: RAW_SOCKET, atMost: 1.5 },
  ]),
  compare('get, 64 in flight, calls a second', GET(64), 'ops', [
    { peer: REFERENCE, atLeast: 3 },
    { peer: IOREDIS_AUTO, atLeast: 2 },
    { peer: GLIDE, atLeast: 2 },
  ]),
  compare('get from the near cache, 1 in flight, p50', GET(1), 'p50', [
    { whose: OURS_CACHED, peer: IOREDIS, atMost: 0.05 },
    { whose: OURS_CACHED, peer: MICROSECOND, atMost: 5 },
  ]),
  compare('audited update, 1 in flight, p50', CARRIED(1), 'p50', [
    { peer: REFERENCE, atMost: 0.3 },
  ]),
  compare('audited update, 64 in flight, calls a second', CARRIED(64), 'ops', [
    { peer: REFERENCE, atLeast: 8 },
  ]),
  compare('the same, stored in PostgreSQL a second', CARRIED(64), 'settled', [
    { peer: REFERENCE, atLeast: 8 },
  ]),
  compare('an update without a worker, 64 in flight, calls a second', UPDATE(64), 'ops', [
    { peer: REDIS_BENCHMARK, atLeast: 0.8 },
  ]),
  compare('CPU of the JavaScript thread, an update', UPDATE(64), 'jsCpu', [
    { peer: REFERENCE, atMost: 0.15 },
  ]),
  compare('update to another process’s callback, p50', CALLBACK(1), 'p50', [
    { peer: REFERENCE, atMost: 0.4 },
  ]),
  compare('drain into PostgreSQL, records a second', DRAIN, 'ops', [
    { peer: REFERENCE, atLeast: 10 },
    { peer: COPY, atLeast: 0.6 },
  ]),
  ...[
    ['get, 1 in flight, p99', GET(1)],
    ['get, 64 in flight, p99', GET(64)],
    ['audited update, 1 in flight, p99', CARRIED(1)],
    ['audited update, 64 in flight, p99', CARRIED(64)],
    ['an update without a worker, 1 in flight, p99', UPDATE(1)],
    ['an update without a worker, 64 in flight, p99', UPDATE(64)],
    ['update to another process’s callback, p99', CALLBACK(1)],
  ].map(([what, where]) => compare(what, where, 'p99', [{ peer: 'the best peer', atMost: 1 }])),
  // Flat or falling: within what one run tells apart.
  compare('CPU of a get, 4096 in flight', GET(4096), 'cpu', [{ than: GET(16), atMost: 1.05 }]),
  compare('CPU of an update, 4096 in flight', UPDATE(4096), 'cpu', [
    { than: UPDATE(16), atMost: 1.05 },
  ]),
].flat()

const RSS = { what: 'RSS after 5 million calls', peer: 'after 100 000', atMost: 1.1 }

/**
 * @param {import('./measurements.mjs').Measurements} measurements
 * @param {{ rss: number }[] | undefined} soak after a few calls, and so on
 */
export function judge(measurements, soak) {
  const judged = GOALS.map((goal) => verdict(goal, ratiosOf(goal, measurements)))
  const rss = verdict(RSS, soak && [soak.at(-1).rss / soak[0].rss])
  return [...judged, rss]
}

function cell(operation) {
  return (inFlight) => ({ network: 'loopback', operation, inFlight, participants: 2 })
}

function compare(what, where, figure, conditions) {
  return conditions.map((condition) => ({ what, cell: where, figure, ...condition }))
}

function ratiosOf({ cell, figure, whose = OURS, peer, than }, measurements) {
  const ours = measurements.series(cell, whose, figure)
  if (peer === MICROSECOND) return ours
  const theirs = than
    ? measurements.series(than, OURS, figure)
    : peer === 'the best peer'
      ? bestOf(cell, figure, measurements)
      : measurements.series(cell, peer, figure)
  return ours && theirs && ours.map((value, round) => value / theirs[round])
}

/** The least of all peers, round by round; who is no way for a service to do it is none. */
function bestOf(cell, figure, measurements) {
  const peers = measurements
    .contendersOf(cell)
    .filter((name) => ![OURS, OURS_CACHED, ...FLOORS].includes(name))
    .map((name) => measurements.series(cell, name, figure))
  return peers.length === 0
    ? undefined
    : peers[0].map((_, round) => Math.min(...peers.map((one) => one[round])))
}

function verdict({ what, peer, than, atMost, atLeast }, ratios) {
  const to = than ? `${than.inFlight} in flight` : peer
  const goal = { what, to, ...(atMost === undefined ? { atLeast } : { atMost }) }
  if (!ratios) return { ...goal, ratio: null, met: null }
  const ratio = summarize(ratios)
  return {
    ...goal,
    ratio,
    met: atMost === undefined ? ratio.median >= atLeast : ratio.median <= atMost,
  }
}
