'use strict'

const { changesBetween } = require('../../lib/audit/changes.js')
const { PARTITIONS, perhaps } = require('../facts/redis.js')
const { sessionKey } = require('../facts/partitions.js')
const { ExitCode } = require('../outcome.js')
const { duration } = require('../terminal/paper.js')

/** @type {import('../command.js').Command} */
module.exports = {
  name: 'session',
  arguments: ['<id>'],
  summary: 'shows a session as it is stored, and whether the audit agrees',
  help: `
    Reads the state and the TTL from Redis. With a database it also compares the state with the newest record
    there. Records that wait in Redis are not there yet: look again after "drain".
    Exits with 1 if nobody knows the session, with 3 if Redis and the audit disagree.`,
  examples: ['session game-1', 'session game-1 --json', 'session game-1 --key-prefix app:session:'],

  async run({ servers, settings, paper, args: [id = ''] }) {
    const [stored, ttlMs] = await Promise.all([
      readStored(servers, id),
      readTtl(servers, settings, id),
    ])
    const audit = servers.hasDatabase ? await compare(servers, id, stored.state) : null
    const exists = stored.state !== null || stored.error !== null
    const found = stored.error !== null || audit?.agrees === false
    const code = found ? ExitCode.FOUND : exists || audit?.version ? ExitCode.FINE : ExitCode.FAILED
    const { state } = stored
    const lines = [
      ...paper.pairs([
        ['session', id],
        ['in redis', stored.error ?? (exists ? 'yes' : 'no')],
        ['version', state?.version],
        ['status', state?.status],
        ['updated', state?.updated_at],
        ['ttl', duration(ttlMs)],
        [
          'audit',
          audit === null
            ? 'no database was given'
            : paper[audit.agrees ? 'good' : 'bad'](audit.says),
        ],
      ]),
      ...(state ? ['', JSON.stringify(state, null, 2)] : []),
    ]
    return { json: { sessionId: id, ...stored, ttlMs, audit }, lines, code }
  },
}

/**
 * @param {import('../command.js').Servers} servers
 * @param {string} id
 * @returns {Promise<{ state: any, error: string | null }>}
 */
async function readStored({ manager }, id) {
  try {
    return { state: await manager.getSession(id), error: null }
  } catch (error) {
    if (/** @type {any} */ (error).code !== 'STATE_DESERIALIZATION_ERROR') throw error
    return { state: null, error: /** @type {Error} */ (error).message }
  }
}

/**
 * Null for a session that does not exist or does not expire.
 *
 * @param {import('../command.js').Servers} servers
 * @param {import('../command.js').Settings} settings
 * @param {string} id
 */
async function readTtl({ client }, { keyPrefix }, id) {
  // Only a cluster has it; a user without the right to read it has no cluster either.
  const partitions = Number((await perhaps(client.get(PARTITIONS))) ?? 0)
  const key = partitions > 0 ? sessionKey(keyPrefix, id, partitions) : keyPrefix + id
  const ttl = Number(await perhaps(client.call('PTTL', key)))
  return ttl > 0 ? ttl : null
}

/**
 * Compares with the newest record in the database.
 *
 * @param {import('../command.js').Servers} servers
 * @param {string} id
 * @param {any} state
 */
async function compare(servers, id, state) {
  const { audit } = servers
  const [event] = await servers.inTime(audit.history(id, { limit: 1 }))
  if (!event) return { agrees: state === null, version: null, says: 'has no record of it' }
  const { version, eventType, at } = event
  const told = `${eventType} at ${at.toISOString()}`
  const known = { version, eventType, at }
  if (version === null) {
    return { ...known, agrees: state === null, says: `says it has ended: ${told}` }
  }
  if (state === null) {
    return {
      ...known,
      agrees: false,
      says: `has version ${version}: ${told}; expired or lost in Redis`,
    }
  }
  if (state.version !== version) {
    const waits = state.version > version ? '; newer records may wait, see "drain"' : ''
    return { ...known, agrees: false, says: `has version ${version}: ${told}${waits}` }
  }
  const audited = await servers.inTime(audit.stateAt(id, { version }))
  const differing = changesBetween(plainly(audited), plainly(state)).map(({ path }) => path)
  const agrees = differing.length === 0
  const says = agrees ? `agrees: ${told}` : `has other values: ${differing.join(', ')}; ${told}`
  return { ...known, agrees, differing, says }
}

/** As in JSON, where dates are text. @param {any} state */
function plainly(state) {
  return JSON.parse(JSON.stringify(state ?? {}))
}
