'use strict'

const { StateError } = require('../../index.js')
const { bullmqFindings, databaseFindings, queueFindings } = require('../checks/audit.js')
const { finding } = require('../checks/finding.js')
const { redisFindings } = require('../checks/redis.js')
const { readDatabase, readQueue } = require('../facts/audit.js')
const { countBullmqJobs } = require('../facts/bullmq.js')
const { readRedis } = require('../facts/redis.js')
const { readRights } = require('../facts/rights.js')
const { ExitCode } = require('../outcome.js')
const { counted } = require('../terminal/paper.js')
const { version } = require('../../package.json')

/** @type {import('../command.js').Command} */
module.exports = {
  name: 'doctor',
  summary: 'finds what is configured in a way that may lose data',
  help: `
    Before going live, after a change of a server, and when "status" says "not ready": looks at eviction,
    persistence, replicas, memory, rights, clocks, versions, the tables and rights of the database, dead letters
    and what BullMQ has left. Each finding says how to mend it, and which page says more. Use the user of the
    service, so that its rights are looked at. "unknown" is what this user may not see.
    Exits with 3 if it finds something other than "unknown".`,
  examples: ['doctor', 'doctor --json', 'doctor --redis redis://service@redis.internal'],

  async run({ servers, settings, paper }) {
    const [redis, database] = await Promise.all([
      readRedis(servers).catch((error) => {
        if (!(error instanceof StateError)) throw error
        return { address: servers.redisAddress, error }
      }),
      readDatabase(servers),
    ])
    const findings = [
      ...('error' in redis ? unreachable(redis.error) : await lookInto(redis, servers, settings)),
      ...databaseFindings(database),
    ]
    const isHealthy = findings.every(({ level }) => level === 'unknown')
    const levels = {
      danger: paper.bad('danger'),
      warning: paper.warning('warning'),
      unknown: paper.dim('unknown'),
    }
    const lines = [
      ...paper.pairs([
        ['redis', 'error' in redis ? redis.address : `${redis.address}, ${redis.topology}`],
        ['database', database === null ? null : (database.error ?? database.database)],
        ['synckairos-state', version],
      ]),
      ...findings.flatMap(({ level, what, mend, page }) =>
        paper.entry(levels[level], [what, mend, paper.dim(page)]),
      ),
      '',
      isHealthy ? paper.good('nothing found') : counted(findings.length, 'finding'),
    ]
    const told = 'error' in redis ? { ...redis, error: redis.error.message } : redis
    const json = { healthy: isHealthy, version, findings, redis: told, database }
    return { json, lines, code: isHealthy ? ExitCode.FINE : ExitCode.FOUND }
  },
}

/**
 * What is wrong with a Redis that answers, and with what it keeps.
 *
 * @param {import('../facts/redis.js').RedisFacts} redis
 * @param {import('../command.js').Servers} servers
 * @param {import('../command.js').Settings} settings
 */
async function lookInto(redis, servers, settings) {
  const [rights, queue, jobs] = await Promise.all([
    readRights(servers.client, settings),
    readQueue(servers),
    countBullmqJobs(servers.client, settings.queueName, 'bull'),
  ])
  return [
    ...redisFindings(redis),
    ...rightFindings(rights),
    ...queueFindings(queue),
    ...bullmqFindings(jobs),
  ]
}

/** @param {Error} error */
function unreachable({ message }) {
  const mend = 'look at the address, the password, and the log of Redis'
  return [finding('danger', message, mend, 'operations.md#when-redis-refuses')]
}

/** @param {Awaited<ReturnType<typeof readRights>>} rights */
function rightFindings(rights) {
  const page = 'operations.md#redis'
  if (rights === null) {
    return [
      finding(
        'unknown',
        'Redis before 7.0 does not tell what its user may do',
        'compare the user with the page',
        page,
      ),
    ]
  }
  return Object.entries(rights.missing).map(([purpose, commands]) =>
    finding(
      'danger',
      `the user of Redis may not ${commands.join('; ')}: needed for ${purpose}`,
      'ACL SETUSER, as the page says',
      page,
    ),
  )
}
