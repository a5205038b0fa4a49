'use strict'

/** A queue whose oldest record is older, and that has stored nothing for so long, stands still, ms. */
const STANDSTILL = 60_000

/** Records that are older want a worker that was heard of within this time, ms. */
const SILENCE = 30_000

/**
 * What a survey of a queue's records and workers tells of trouble. Dead letters are none: they wait for an
 * operator, and other records are stored meanwhile.
 *
 * @param {string} queue its name, and where it is
 * @param {{ oldestAgeMs: number | null, storedAgoMs: number | null, workers: { lastHeardMs: number }[] | null, waiting: number, active: number, delayed: number }} survey
 * @returns {string[]}
 */
function troubles(queue, { oldestAgeMs, storedAgoMs, workers, waiting, active, delayed }) {
  if (oldestAgeMs === null) return []
  const backlog = `${waiting + active + delayed} records wait, the oldest for ${seconds(oldestAgeMs)}`
  const found = []
  if (oldestAgeMs > SILENCE && workers?.every(({ lastHeardMs }) => lastHeardMs > SILENCE)) {
    found.push(`${queue}: no worker was heard of in the last ${seconds(SILENCE)}; ${backlog}`)
  }
  const isStored = storedAgoMs !== null && storedAgoMs <= STANDSTILL
  if (oldestAgeMs > STANDSTILL && !isStored) {
    const since = storedAgoMs === null ? 'yet' : `for ${seconds(storedAgoMs)}`
    found.push(`${queue}: no record was stored ${since}; ${backlog}`)
  }
  return found
}

/** @param {number} ms */
function seconds(ms) {
  return `${Math.round(ms / 1000)} s`
}

module.exports = { troubles }
