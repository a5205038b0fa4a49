'use strict'

// What is wrong with the audit: its queue, its workers, its database, and what BullMQ has left.

const { total } = require('../facts/bullmq.js')
const { counted } = require('../terminal/paper.js')
const { clockFindings, finding } = require('./finding.js')

const DATABASE = 'operations.md#postgresql'
const RECORDS = 'operations.md#records'
const LEAST_POSTGRESQL = 13

/**
 * @param {import('../facts/audit.js').QueueFacts} queue
 * @returns {import('./finding.js').Finding[]}
 */
function queueFindings({ reasons, dead, workers }) {
  const found = reasons.map((reason) =>
    finding('danger', reason, 'look at the log of the workers, and at "status"', RECORDS),
  )
  if (reasons.length === 0 && workers?.length === 0) {
    found.push(
      finding(
        'warning',
        'no worker was heard of in the last 10 minutes: nobody stores records',
        'start an instance whose queue has a worker, the default',
        RECORDS,
      ),
    )
  }
  if (dead > 0) {
    found.push(
      finding(
        'warning',
        `${counted(dead, 'dead letter')}: changes that are not in the database`,
        'see "dead list", mend the cause, then "dead retry --limit 1 --yes"',
        RECORDS,
      ),
    )
  }
  return found
}

/**
 * @param {import('../facts/audit.js').DatabaseFacts} database
 * @returns {import('./finding.js').Finding[]}
 */
function databaseFindings(database) {
  if (database === null) {
    return [
      finding(
        'unknown',
        'no database was given',
        'pass --database <url>, or set DATABASE_URL',
        DATABASE,
      ),
    ]
  }
  if (database.error !== null) {
    return [
      finding(
        'danger',
        database.error,
        'records wait in Redis until the database can be used',
        DATABASE,
      ),
    ]
  }
  const { version, missingTables, missingRights, clockSkewMs } = database
  const isSqlite = database.database.startsWith('sqlite:')
  const found = clockFindings('the database', clockSkewMs)
  if (!isSqlite && Number.parseInt(version, 10) < LEAST_POSTGRESQL) {
    found.push(
      finding(
        'danger',
        `the database is PostgreSQL ${version}`,
        `use ${LEAST_POSTGRESQL} or later`,
        'runtimes.md#servers',
      ),
    )
  }
  for (const table of missingTables) {
    found.push(
      finding(
        'danger',
        `the table ${table} is missing: no record can be stored`,
        'call queue.migrate(), or set the option migrate',
        DATABASE,
      ),
    )
  }
  for (const right of missingRights) {
    found.push(
      finding('danger', `the user of the database lacks ${right}`, `GRANT ${right}`, DATABASE),
    )
  }
  return found
}

/**
 * @param {Record<string, number> | null} jobs
 * @returns {import('./finding.js').Finding[]}
 */
function bullmqFindings(jobs) {
  if (jobs === null || total(jobs) === 0) return []
  return [
    finding(
      'warning',
      `${counted(total(jobs), 'job')} of BullMQ left: no worker of this module stores them`,
      'see "adopt-bullmq"',
      'migration.md',
    ),
  ]
}

module.exports = { bullmqFindings, databaseFindings, queueFindings }
