'use strict'

// The jobs that instances with BullMQ have left, which no worker of this module stores.

const { perhaps } = require('./redis.js')

/** BullMQ's lists and sorted sets of jobs that are not completed, and how to count them. */
const PLACES = Object.freeze({
  wait: 'LLEN',
  paused: 'LLEN',
  active: 'LLEN',
  delayed: 'ZCARD',
  prioritized: 'ZCARD',
  failed: 'ZCARD',
})

/**
 * How many jobs are in each place. Null if this user may not look.
 *
 * @param {import('../../index.js').RedisClient} client
 * @param {string} queueName
 * @param {string} prefix
 * @returns {Promise<Record<string, number> | null>}
 */
async function countBullmqJobs(client, queueName, prefix) {
  const asked = Object.entries(PLACES).map(([place, command]) =>
    perhaps(client.call(command, `${prefix}:${queueName}:${place}`)),
  )
  const counts = await Promise.all(asked)
  if (counts.every((count) => count === null)) return null
  return Object.fromEntries(
    Object.keys(PLACES).map((place, at) => [place, Number(counts[at] ?? 0)]),
  )
}

/** @param {Record<string, number>} jobs */
function total(jobs) {
  return Object.values(jobs).reduce((sum, count) => sum + count, 0)
}

module.exports = { countBullmqJobs, total }
