'use strict'

const { changesBetween } = require('../../lib/audit/changes.js')
const { CommandError } = require('../outcome.js')
const { count } = require('../settings.js')

/** @type {import('../command.js').Command} */
module.exports = {
  name: 'diff',
  arguments: ['<id>', '<version>', '<version>'],
  summary: 'shows what differs between two versions of a session',
  help: `
    Reads both states from the audit's database and lists each value that differs, by its path. If the session
    was created several times, the versions are those of its newest life.`,
  examples: ['diff game-1 3 7'],

  async run({ servers, paper, args: [id = '', ...versions] }) {
    const [from = 1, to = 1] = versions.map((text) => count(text, '<version>', { otherwise: 1 }))
    const [older, newer] = await Promise.all(
      [from, to].map((version) => read(servers, id, version)),
    )
    const changes = changesBetween(older, newer)
    const rows = changes.map((change) => [change.path, json(change.from), json(change.to)])
    const lines =
      rows.length > 0
        ? paper.table(['path', `version ${from}`, `version ${to}`], rows)
        : ['nothing differs']
    return { json: { sessionId: id, from, to, changes }, lines }
  },
}

/**
 * A state as in JSON.
 *
 * @param {import('../command.js').Servers} servers
 * @param {string} id
 * @param {number} version
 */
async function read(servers, id, version) {
  const state = await servers.inTime(servers.audit.stateAt(id, { version }))
  if (state === null) throw new CommandError(`the audit does not have version ${version} of ${id}`)
  return JSON.parse(JSON.stringify(state))
}

/** @param {unknown} value */
function json(value) {
  return JSON.stringify(value) ?? 'nothing'
}
