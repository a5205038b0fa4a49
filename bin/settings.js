'use strict'

// Where the servers are, and how to use them: from the options of every command, and from the environment.

const fs = require('node:fs')
const { UsageError } = require('./outcome.js')

const DEFAULT_TIMEOUT_MS = 5000
/** Longer than any of the module's own limits would be of no use. */
const MOST_TIMEOUT_MS = 600_000

/** The options of every command. @type {Record<string, import('./command.js').Option>} */
const OPTIONS = {
  redis: {
    type: 'string',
    value: '<url>',
    help: 'Redis. Default: REDIS_URL, then redis://localhost:6379',
  },
  database: { type: 'string', value: '<url>', help: 'PostgreSQL or SQLite. Default: DATABASE_URL' },
  queue: {
    type: 'string',
    value: '<name>',
    help: 'the name of the audit queue. Default: db-writes',
  },
  'key-prefix': {
    type: 'string',
    value: '<text>',
    help: 'the key prefix of the sessions. Default: session:',
  },
  ca: {
    type: 'string',
    value: '<file>',
    help: 'the certificates (PEM) that TLS to Redis trusts',
  },
  timeout: {
    type: 'string',
    value: '<seconds>',
    help: 'how long a server may take to answer. Default: 5',
  },
  json: {
    type: 'boolean',
    help: 'JSON in place of text: one document, or one line for each event',
  },
  yes: { type: 'boolean', help: 'make the change. Without it, nothing is changed' },
  help: { type: 'boolean', short: 'h', help: 'explain the command' },
}

/**
 * @param {Record<string, any>} values what `parseArgs` has read
 * @param {NodeJS.ProcessEnv} env
 * @returns {import('./command.js').Settings}
 */
function settingsOf(values, env) {
  const redis = values.redis ?? (env.REDIS_URL || 'redis://localhost:6379')
  if (/^memory:/i.test(redis)) {
    throw new UsageError('memory: is a store inside of one process, which no other process can see')
  }
  return {
    redis,
    database: values.database ?? (env.DATABASE_URL || undefined),
    queueName: values.queue ?? 'db-writes',
    keyPrefix: values['key-prefix'] ?? 'session:',
    ca: values.ca === undefined ? undefined : certificates(values.ca),
    timeoutMs: milliseconds(values.timeout),
    json: values.json === true,
    yes: values.yes === true,
  }
}

/** @param {string} file */
function certificates(file) {
  try {
    return fs.readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`--ca: ${/** @type {Error} */ (error).message}`)
  }
}

/** @param {string | undefined} seconds */
function milliseconds(seconds) {
  if (seconds === undefined) return DEFAULT_TIMEOUT_MS
  const timeoutMs = Math.round(Number(seconds) * 1000)
  if (!(timeoutMs > 0 && timeoutMs <= MOST_TIMEOUT_MS)) {
    throw new UsageError('--timeout: seconds, more than 0 and at most 600')
  }
  return timeoutMs
}

/**
 * An option that is a count.
 *
 * @param {string | undefined} text
 * @param {string} option its name
 * @param {{ least?: number, most?: number, otherwise: number }} limits
 */
function count(text, option, { least = 1, most = Number.MAX_SAFE_INTEGER, otherwise }) {
  if (text === undefined) return otherwise
  const number = Number(text)
  if (/^\d+$/.test(text) && number >= least && number <= most) return number
  throw new UsageError(`${option}: a whole number from ${least} to ${most}`)
}

const UNITS = Object.freeze({ s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 })

/**
 * A time: a date, or how long ago, such as `90m`.
 *
 * @param {string} text
 * @param {string} option its name
 */
function time(text, option) {
  const [, amount, unit] = /^(\d+)([smhd])$/.exec(text) ?? []
  const date =
    unit === undefined
      ? new Date(text)
      : new Date(Date.now() - Number(amount) * UNITS[/** @type {keyof typeof UNITS} */ (unit)])
  if (Number.isNaN(date.getTime())) {
    throw new UsageError(
      `${option}: a date such as 2026-01-02T03:04:05Z, or how long ago, such as 90m, 2h or 1d`,
    )
  }
  return date
}

module.exports = { OPTIONS, count, settingsOf, time }
