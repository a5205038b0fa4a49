'use strict'

// What the audit's queue and its database say of themselves.

const { countBySqlstate } = require('./deadLetters.js')

/**
 * @param {import('../command.js').Servers} servers
 */
async function readQueue({ queue }) {
  const [metrics, health] = await Promise.all([queue.metrics(), queue.health()])
  const { waiting, active, delayed, dead, stored, oldestAgeMs, lastStoredAt, workers } = metrics
  const deadBySqlstate = dead > 0 ? await countBySqlstate(queue) : {}
  const backlog = { waiting, active, delayed, dead, stored, oldestAgeMs, lastStoredAt }
  return { ...backlog, workers, deadBySqlstate, ready: health.ready, reasons: health.reasons }
}

/** @typedef {Awaited<ReturnType<typeof readQueue>>} QueueFacts */

/**
 * Null without a database; an error in words if it cannot be used.
 *
 * @param {import('../command.js').Servers} servers
 */
async function readDatabase(servers) {
  if (!servers.hasDatabase) return null
  try {
    const asked = Date.now()
    const { now, roundTripMs, ...status } = await servers.inTime(servers.queue.databaseStatus())
    const here = (asked + Date.now()) / 2
    return { ...status, roundTripMs, clockSkewMs: now.getTime() - here, error: null }
  } catch (error) {
    return { error: /** @type {Error} */ (error).message }
  }
}

/** @typedef {Awaited<ReturnType<typeof readDatabase>>} DatabaseFacts */

module.exports = { readDatabase, readQueue }
