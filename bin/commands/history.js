'use strict'

const { ExitCode } = require('../outcome.js')
const { count, time } = require('../settings.js')

/** How many changes of an event a line of text names. */
const SHOWN = 3
/** What each write sets: `diff` and `--json` have it. */
const OF_EVERY_CHANGE = ['version', 'updated_at']

/** @type {import('../command.js').Command} */
module.exports = {
  name: 'history',
  arguments: ['<id>'],
  summary: 'lists the events of a session, the newest first',
  help: `
    Reads the audit's database: when each change was made, by whom, and what it changed. "diff" shows all that
    differs between two versions. Exits with 1 if the audit does not know the session.`,
  options: {
    limit: { type: 'string', value: '<n>', help: 'how many events, at most 1000. Default: 20' },
    before: {
      type: 'string',
      value: '<when>',
      help: 'only older events: an event, a date, or how long ago',
    },
  },
  examples: ['history game-1', 'history game-1 --before 2h --limit 100 --json'],

  async run({ servers, paper, values, args: [id = ''] }) {
    const limit = count(values.limit, '--limit', { most: 1000, otherwise: 20 })
    const before = values.before === undefined ? {} : { before: place(values.before) }
    const events = await servers.inTime(servers.audit.history(id, { limit, ...before }))
    const columns = ['at', 'version', 'event', 'actor', 'changes', 'id']
    const rows = events.map(({ at, version, eventType, actor, changes, id: event }) => [
      at,
      version,
      eventType,
      actor,
      summary(changes),
      event,
    ])
    const lines =
      events.length > 0 ? paper.table(columns, rows) : [`the audit has no events of ${id}`]
    return { json: events, lines, code: events.length > 0 ? ExitCode.FINE : ExitCode.FAILED }
  },
}

/** The id of an event, or a time. @param {string} text */
function place(text) {
  return /^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(text) ? text : time(text, '--before')
}

/** @param {import('../../index.js').StateChange[] | null} changes */
function summary(changes) {
  if (changes === null) return null
  const news = changes.filter(({ path }) => !OF_EVERY_CHANGE.includes(path))
  const told = news
    .slice(0, SHOWN)
    .map(({ path, from, to }) => `${path}: ${json(from)} → ${json(to)}`)
  const more = news.length > SHOWN ? [`${news.length - SHOWN} more`] : []
  return [...told, ...more].join(', ')
}

/** A value in little room. @param {unknown} value */
function json(value) {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 40 ? `${text.slice(0, 39)}…` : text
}
