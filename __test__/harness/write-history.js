'use strict'

const { createHash } = require('node:crypto')
const { until } = require('./until.js')

/**
 * What became of the writes of several processes. Each write has added a token of its own to the list
 * in a session, under `expectedVersion`: so what is stored tells which writes are in it, in which order.
 *
 * @typedef {object} WriteHistory
 * @property {string[]} ids of the sessions
 * @property {{ acknowledged: object[], refused: object[] }[]} results of the processes
 * @property {{ version: number, tokens: string[] }[]} stored the sessions, in the order of their ids
 */

/**
 * No write is in twice, none that was refused, and what is gone went in the fault.
 *
 * @param {WriteHistory} history
 * @param {{ began: number, ended: number }} fault
 * @returns {object[]} the acknowledged writes that are gone
 */
function checkWrites({ ids, results, stored }, fault) {
  for (const { tokens, version } of stored) {
    expect(new Set(tokens).size).toBe(tokens.length)
    expect(version).toBe(tokens.length + 1)
  }
  const all = new Set(stored.flatMap(({ tokens }) => tokens))
  const refused = results.flatMap((result) => result.refused)
  expect(refused.filter(({ token }) => all.has(token))).toEqual([])

  const acknowledged = results.flatMap((result) => result.acknowledged)
  for (const { id, token, version } of acknowledged) {
    if (!all.has(token)) continue
    expect(stored[ids.indexOf(id)].tokens[version - 2]).toBe(token)
  }
  const gone = acknowledged.filter(({ token }) => !all.has(token))
  const unexplained = gone.filter((one) => one.ended < fault.began - 100 || one.began > fault.ended)
  expect(unexplained).toEqual([])
  return gone
}

/**
 * Each change that is stored has one record, and none that was refused has any. But a write that a
 * failover has undone before its answer came is tried again, may then be in conflict, and has a record.
 * A write is known by all tokens up to its own, as `modifySession` repeats one after such a conflict.
 *
 * @param {WriteHistory} history
 * @param {object} audit
 * @param {(sql: string) => Promise<object[]>} audit.query of the database
 * @param {boolean} audit.hasChanged whether another server has become the master
 */
async function checkRecords({ ids, results, stored }, { query, hasChanged }) {
  const expected = stored.flatMap(({ tokens }, n) =>
    tokens.map((token, at) => `${ids[n]} ${hashOf(tokens.slice(0, at + 1))} ${token}`),
  )
  let writes
  const areComplete = async () => {
    const rows = await query(`SELECT concat_ws(
        ' ', session_id, md5(state_snapshot ->> 'tokens'), state_snapshot -> 'tokens' ->> -1
      ) AS write FROM sync_events WHERE state_snapshot -> 'version' <> '1'`)
    writes = rows.map(({ write }) => write)
    const there = new Set(writes)
    return expected.every((write) => there.has(write))
  }
  await until(areComplete, 15_000).catch(() => {})
  const there = new Set(writes)
  expect(expected.filter((write) => !there.has(write))).toEqual([])
  expect(writes.filter((write, n) => writes.indexOf(write) !== n)).toEqual([])
  const refused = new Set()
  for (const { token, code } of results.flatMap((result) => result.refused)) {
    if (!hasChanged || code !== 'CONCURRENT_MODIFICATION') refused.add(token)
  }
  expect(writes.filter((write) => refused.has(write.split(' ')[2]))).toEqual([])
}

/** As PostgreSQL's `md5()` of these tokens in its `jsonb`. */
function hashOf(tokens) {
  const text = tokens.map((token) => `"${token}"`).join(', ')
  return createHash('md5').update(`[${text}]`).digest('hex')
}

module.exports = { checkRecords, checkWrites }
