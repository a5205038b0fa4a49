/**
 * How long a run is.
 *
 * @typedef {object} Effort
 * @property {number} rounds
 * @property {number} ms of a turn of weight 1
 * @property {number} startMs to warm a contender up
 * @property {number} warmUpMs to warm it up for a cell of weight 1
 * @property {number} watchMs how long the event loop of a subscriber is watched
 * @property {number} drains rounds of the drain
 * @property {number} records to drain
 * @property {number} few records to drain for the reference design, which takes as many times longer
 * @property {number} sessions that a store in the process is filled with
 * @property {number} restMs how long that process rests then
 * @property {number} expiring sessions that expire at once
 * @property {number} latencies records whose way to PostgreSQL is timed
 * @property {number} idleMs how long the nodes of a cluster are watched at rest
 * @property {boolean} [each] each network and each mode once, in place of each network in each mode
 */

/** @type {Record<string, Effort>} */
export const EFFORTS = {
  full: {
    rounds: 18,
    ms: 80,
    startMs: 1000,
    warmUpMs: 60,
    watchMs: 1000,
    drains: 5,
    records: 50_000,
    few: 5000,
    sessions: 100_000,
    restMs: 8000,
    expiring: 10_000,
    latencies: 100,
    idleMs: 30_000,
  },
  quick: {
    rounds: 5,
    ms: 40,
    startMs: 300,
    warmUpMs: 30,
    watchMs: 500,
    drains: 2,
    records: 20_000,
    few: 2000,
    sessions: 100_000,
    restMs: 8000,
    expiring: 10_000,
    latencies: 30,
    idleMs: 10_000,
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
    sessions: 1000,
    restMs: 0,
    expiring: 1000,
    latencies: 3,
    idleMs: 100,
    each: true,
  },
}

/** Calls after which the soak looks at the memory. */
export const SOAK = [100_000, 1_000_000, 5_000_000]
