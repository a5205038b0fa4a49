'use strict'

const PAGE = 500

/**
 * The dead letters, the newest first.
 *
 * @param {import('../../index.js').DBWriteQueue} queue
 * @param {{ most?: number, sqlstate?: string | undefined }} [which] `most` counts those with this SQLSTATE
 * @returns {AsyncGenerator<import('../../index.js').DeadLetter<any>>}
 */
async function* deadLetters(queue, { most = Number.POSITIVE_INFINITY, sqlstate } = {}) {
  let told = 0
  for (let offset = 0; told < most; offset += PAGE) {
    const page = await queue.getFailed({ offset, limit: PAGE })
    for (const letter of page) {
      if (sqlstate !== undefined && letter.sqlstate !== sqlstate) continue
      if (told++ >= most) return
      yield letter
    }
    if (page.length < PAGE) return
  }
}

/** Of how many letters the reasons are counted: what is counted takes a request for 500 letters. */
const COUNTED = 10_000

/**
 * How many of the newest dead letters have each SQLSTATE.
 *
 * @param {import('../../index.js').DBWriteQueue} queue
 * @returns {Promise<Record<string, number>>}
 */
async function countBySqlstate(queue) {
  /** @type {Record<string, number>} */
  const counts = {}
  for await (const { sqlstate } of deadLetters(queue, { most: COUNTED })) {
    const name = sqlstate ?? 'none'
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

module.exports = { countBySqlstate, deadLetters }
