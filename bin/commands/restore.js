'use strict'

const { CommandError, ExitCode, UsageError } = require('../outcome.js')
const { count, time } = require('../settings.js')

/** @type {import('../command.js').Command} */
module.exports = {
  name: 'restore',
  arguments: ['[<id>]'],
  summary: 'writes states from the audit back to Redis',
  help: `
    One session: its newest audited state, or that of --version, over whatever is stored, as a new version.
    All sessions that Redis has lost: --since, a time before the loss less the TTL. It leaves alone what was
    deleted, has expired or ended, and what is as new or newer in Redis. If it is interrupted, run it again: it
    goes on where it ended. Records that wait in Redis are not in the database yet: "drain" first.`,
  options: {
    version: { type: 'string', value: '<n>', help: 'the version to restore. Default: the newest' },
    since: {
      type: 'string',
      value: '<when>',
      help: 'a date, or how long ago, such as 90m: all lost sessions',
    },
    'dry-run': { type: 'boolean', help: 'only count what --since would restore' },
    actor: { type: 'string', value: '<name>', help: 'who restores, for the audit' },
  },
  examples: [
    'restore game-1',
    'restore game-1 --version 6 --actor alice --yes',
    'restore --since 2h --dry-run',
    'restore --since 2026-01-02T03:04:05Z --actor alice --yes',
  ],

  run(context) {
    const { values, args } = context
    const [id] = args
    if ((id === undefined) === (values.since === undefined)) {
      throw new UsageError('restore: either the id of a session, or --since <when>')
    }
    if (id === undefined) {
      if (values.version !== undefined)
        throw new UsageError('restore: --version is for one session')
      return restoreAll(context, time(values.since, '--since'))
    }
    if (values['dry-run'])
      throw new UsageError('restore: --dry-run is for --since; leave --yes out')
    return restoreOne(context, id)
  },
}

/** @param {import('../command.js').Context} context @param {string} id */
async function restoreOne({ servers, settings, values }, id) {
  servers.needDatabase()
  const asked =
    values.version === undefined ? undefined : count(values.version, '--version', { otherwise: 1 })
  const state = asked === undefined ? undefined : await earlier(servers, id, asked)
  const { manager } = servers
  if (settings.yes) {
    const chosen = asked === undefined ? {} : { version: asked }
    const restored = await manager.restoreSession(id, { ...chosen, ...who(values) })
    return {
      json: { sessionId: id, version: restored.version, state: restored },
      lines: [`restored ${id}: it has version ${restored.version} now`],
    }
  }
  const version = asked ?? (await newestVersion(servers, id))
  const stored = await manager.getSession(id).catch(unreadable)
  const over = stored === null ? 'Redis has no such session' : `over version ${stored.version}`
  return {
    json: {
      would: 'restore',
      sessionId: id,
      version,
      state: state ?? (await earlier(servers, id, version)),
    },
    lines: [`would restore version ${version} of ${id}, ${over}; pass --yes to do it`],
    code: ExitCode.WOULD_CHANGE,
  }
}

/** What a session is called that Redis has and nobody can read. @param {any} error */
function unreadable(error) {
  if (error.code !== 'STATE_DESERIALIZATION_ERROR') throw error
  return { version: 'that cannot be read' }
}

/** @param {import('../command.js').Servers} servers @param {string} id @param {number} version */
async function earlier(servers, id, version) {
  const state = await servers.inTime(servers.audit.stateAt(id, { version }))
  if (state === null) throw new CommandError(`the audit does not have version ${version} of ${id}`)
  return state
}

/** @param {import('../command.js').Servers} servers @param {string} id */
async function newestVersion(servers, id) {
  for (let before = {}; ; ) {
    const events = await servers.inTime(servers.audit.history(id, { limit: 50, ...before }))
    const event = events.find(({ version }) => version !== null)
    if (event?.version) return event.version
    const last = events.at(-1)
    if (!last) throw new CommandError(`the audit has no state of ${id}`)
    before = { before: last.id }
  }
}

/** @param {import('../command.js').Context} context @param {Date} since */
async function restoreAll({ servers, settings, values, paper, progress, checkpoint }, since) {
  const dryRun = values['dry-run'] === true || !settings.yes
  servers.needDatabase()
  const counts = await servers.manager.restoreSessions({
    since,
    dryRun,
    onProgress: ({ found, restored }) => {
      checkpoint()
      progress.show(
        0,
        `${found} sessions looked at, ${restored} ${dryRun ? 'to restore' : 'restored'}`,
      )
    },
    ...who(values),
  })
  progress.end()
  const { found, restored, newer, ended, failed } = counts
  const isQuestion = restored > 0 && dryRun && !values['dry-run']
  const lines = [
    ...paper.pairs([
      ['with a record since', since],
      ['sessions', found],
      [dryRun ? 'would be restored' : 'restored', restored],
      ['as new or newer in redis', newer],
      ['ended', ended],
      ['cannot be restored', failed],
    ]),
    ...(isQuestion ? ['nothing was changed; pass --yes to restore them'] : []),
  ]
  const done = failed > 0 ? ExitCode.FOUND : ExitCode.FINE
  return {
    json: { since, dryRun, ...counts },
    lines,
    code: isQuestion ? ExitCode.WOULD_CHANGE : done,
  }
}

/** @param {Record<string, any>} values */
function who({ actor }) {
  return actor === undefined ? {} : { actor }
}
