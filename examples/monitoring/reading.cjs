'use strict'

const { subscribe } = require('node:diagnostics_channel')

/** @typedef {import('synckairos-state').DeadLetterMessage} DeadLetterMessage */
/** @typedef {import('synckairos-state').Health} Health */
/** @typedef {import('synckairos-state').ManagerMetrics} ManagerMetrics */
/** @typedef {import('synckairos-state').QueueMetrics} QueueMetrics */
/** @typedef {{ metrics(): ManagerMetrics, health(): Promise<Health> }} Manager */
/** @typedef {{ metrics(): Promise<QueueMetrics>, health(): Promise<Health> }} Queue */
/** @typedef {{ manager?: Manager | undefined, queue?: Queue | undefined }} Sources */

/** How many different SQLSTATEs become labels. Further ones count as `other`. */
const MOST_KINDS = 50

/** How many records became dead letters in this process, by SQLSTATE. @type {Map<string, number>} */
const deadLetters = new Map()

subscribe('synckairos-state:dead-letter', (message) => {
  const { sqlstate } = /** @type {DeadLetterMessage} */ (message)
  const kind = sqlstate ?? 'none'
  const label = deadLetters.has(kind) || deadLetters.size < MOST_KINDS ? kind : 'other'
  deadLetters.set(label, (deadLetters.get(label) ?? 0) + 1)
})

/**
 * Reads all there is to know at one moment. Never rejects: while Redis does not answer, what it knows is missing,
 * and `ready` says so.
 *
 * @param {Sources} sources
 */
async function read({ manager, queue }) {
  const [managerHealth, queueHealth, queueMetrics] = await Promise.all([
    manager?.health(),
    queue?.health(),
    queue?.metrics().catch(() => undefined),
  ])
  const managerMetrics = manager?.metrics()
  return { manager: managerMetrics, managerHealth, queue: queueMetrics, queueHealth, deadLetters }
}

/** @typedef {Awaited<ReturnType<typeof read>>} Reading */

module.exports = { read }
