'use strict'

const { once } = require('node:events')
const { count } = require('../settings.js')

/** @type {import('../command.js').Command} */
module.exports = {
  name: 'watch',
  arguments: ['[<id>]'],
  summary: 'shows updates and deletions as they come',
  help: `
    Listens to the updates of all instances until Ctrl-C: of one session, or of all with the key prefix. After
    a lost connection it catches up as a service does. With --json each line has the whole state.`,
  options: { limit: { type: 'string', value: '<n>', help: 'end after so many' } },
  examples: ['watch', 'watch game-1 --json', 'watch --limit 10'],

  async run({ servers, paper, values, settings, signal, print, args: [id] }) {
    const limit = count(values.limit, '--limit', { otherwise: Number.POSITIVE_INFINITY })
    const enough = new AbortController()
    const tell = (/** @type {object} */ _fields, /** @type {string} */ message) =>
      print.note(message)
    const manager = servers.managerWith({ info: tell, warn: tell, error: tell })
    let seen = 0
    manager.subscribeToUpdates((sessionId, state) => {
      if (signal.aborted || seen >= limit || (id !== undefined && sessionId !== id)) return
      const at = new Date()
      const { version = null, status = null } = state ?? {}
      const told = state === null ? paper.warning('deleted') : `version ${version}`
      const line = paper.row([at, sessionId, told, status])
      print.event({ at, sessionId, deleted: state === null, version, state }, line)
      if (++seen >= limit) enough.abort()
    })
    await manager.subscribed()
    if (!settings.json) print.note(id === undefined ? 'listening' : `listening to ${id}`)
    const ends = [signal, enough.signal].filter((end) => !end.aborted)
    if (ends.length === 2) await Promise.race(ends.map((end) => once(end, 'abort')))
    return undefined
  },
}
