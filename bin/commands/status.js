'use strict'

const { readDatabase, readQueue } = require('../facts/audit.js')
const { readRedis } = require('../facts/redis.js')
const { ExitCode } = require('../outcome.js')
const { duration, size } = require('../terminal/paper.js')

/** @type {import('../command.js').Command} */
module.exports = {
  name: 'status',
  summary: 'shows the servers, the workers, what waits and what was refused',
  help: `
    The first command when something is wrong: which servers there are, how they persist and evict, how many
    connections listen for updates, which workers store records and when Redis last heard of each, how many
    records wait and how old the oldest is, and the dead letters by SQLSTATE.
    Exits with 3 if records are not being stored, or if the database cannot be used.`,
  examples: ['status', 'status --json', 'status --redis rediss://user@redis.internal'],

  async run({ servers, settings, paper }) {
    const redis = await readRedis(servers)
    const [queue, database] = await Promise.all([readQueue(servers), readDatabase(servers)])
    const reasons = [...queue.reasons, ...(database?.error ? [database.error] : [])]
    const ready = reasons.length === 0
    const lines = [
      ...paper.pairs([
        ['redis', redis.address],
        ['topology', redis.topology],
        ['round trip', duration(redis.roundTripMs)],
        ['subscribers', redis.subscribers],
      ]),
      '',
      ...nodeTable(paper, redis.nodes),
      '',
      ...paper.pairs([
        ['audit queue', settings.queueName],
        ['waiting', queue.waiting],
        ['active', queue.active],
        ['delayed', queue.delayed],
        ['oldest', duration(queue.oldestAgeMs)],
        ['stored', queue.stored],
        ['last stored', queue.lastStoredAt],
        ['dead letters', queue.dead],
        ['workers', queue.workers?.length],
      ]),
      ...section(paper.table(['sqlstate', 'dead letters'], Object.entries(queue.deadBySqlstate))),
      ...section(workerTable(paper, queue.workers ?? [])),
      ...section(databasePairs(paper, database)),
      '',
      ready ? paper.good('ready') : paper.bad('not ready'),
      ...reasons.map((reason) => paper.bad(`  ${reason}`)),
    ]
    const json = { ready, reasons, redis, queue: { name: settings.queueName, ...queue }, database }
    return { json, lines, code: ready ? ExitCode.FINE : ExitCode.FOUND }
  },
}

/** A blank line before a table with rows; nothing for one without. @param {string[]} lines */
function section(lines) {
  return lines.length > 1 ? ['', ...lines] : []
}

/**
 * @param {import('../command.js').Paper} paper
 * @param {import('../facts/redis.js').RedisNode[]} nodes
 */
function nodeTable(paper, nodes) {
  const columns = [
    'server',
    'version',
    'role',
    'replicas',
    'memory',
    'eviction',
    'append only',
    'snapshots',
  ]
  return paper.table(
    columns,
    nodes.map((node) => [
      node.address,
      `${node.product} ${node.version ?? '-'}`,
      node.role,
      node.replicas,
      `${size(node.usedMemoryBytes)}${node.maxMemoryBytes ? ` of ${size(node.maxMemoryBytes)}` : ''}`,
      node.evictionPolicy,
      node.appendOnly ? (node.appendFsync ?? 'yes') : node.appendOnly === false ? 'no' : null,
      node.save === '' ? 'no' : node.save,
    ]),
  )
}

/**
 * @param {import('../command.js').Paper} paper
 * @param {NonNullable<import('../facts/audit.js').QueueFacts['workers']>} workers
 */
function workerTable(paper, workers) {
  const columns = ['worker', 'host', 'last heard of', 'claimed']
  const rows = workers.map(({ name, host, lastHeardMs, claimed }) => [
    name,
    host,
    duration(lastHeardMs),
    claimed,
  ])
  return paper.table(columns, rows)
}

/**
 * @param {import('../command.js').Paper} paper
 * @param {import('../facts/audit.js').DatabaseFacts} database
 */
function databasePairs(paper, database) {
  if (database === null) return []
  if (database.error !== null)
    return paper.pairs([
      ['database', database.error],
      ['usable', 'no'],
    ])
  return paper.pairs([
    ['database', database.database],
    ['version', database.version],
    ['round trip', duration(database.roundTripMs)],
  ])
}
