import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { Redis } from 'ioredis'
import { DBWriteQueue, RedisStateManager } from '../../index.js'
import { makeSessions } from './session.mjs'

/** Of more digits than an id or a time has in a row: nothing else in the command can hold it. */
const EXPECTED = 7_000_000_000_000_001
const AT_ONCE = 8
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * The words of one locked, audited update as the module sends it, for other clients to send the
 * same: so they run the same script with such arguments, whatever the module makes of both.
 *
 * @typedef {object} CapturedUpdate
 * @property {string[]} words with an empty one where the document is
 * @property {number} documentAt where that is
 * @property {number} timeAt where the time is
 * @property {number} recordIdAt where the id of the audit's record is
 * @property {string} sessionId whose update it was
 */

/**
 * @param {string} url
 * @param {string} queueName of the queue to which the records go
 * @returns {Promise<CapturedUpdate>}
 */
export async function captureUpdate(url, queueName) {
  const queue = new DBWriteQueue(url, { queueName, worker: false })
  const manager = new RedisStateManager(url, null, queue)
  const redis = new Redis(url)
  const monitor = await redis.monitor()
  const sent = []
  const over = once(monitor, 'over')
  monitor.on('monitor', (_time, words, source) => {
    if (words[1] === 'over') monitor.emit('over')
    else if (source !== 'lua') sent.push(words)
  })
  try {
    const sessions = makeSessions(AT_ONCE, 2)
    const update = (state, expected) => manager.updateSession(state.session_id, state, expected)
    for (const state of sessions) {
      const stored = JSON.stringify({ ...state, version: EXPECTED - 1 })
      await redis.set(`session:${state.session_id}`, stored)
      await update(state, EXPECTED - 1) // Loads the script.
    }
    await Promise.all(sessions.map((state) => update(state, EXPECTED)))
    await redis.echo('over')
    await over
    // The last of those that went together: what only the first of a pipeline does is not in it.
    const { session_id: sessionId } = sessions.at(-1)
    const words = sent.findLast((one) => one.includes(`session:${sessionId}`)) ?? []
    const documentAt = words.findIndex((word) => word.includes('"participants":['))
    const expected = String(EXPECTED)
    const next = String(EXPECTED + 1)
    if (!words.includes(expected) || !words[documentAt]?.includes(next)) {
      throw new Error('an update is not one command any more that others could send as well')
    }
    const timeAt = words.findIndex((word) => /^\d{13}$/.test(word))
    const recordIdAt = words.findIndex((word) => word !== sessionId && UUID.test(word))
    if (timeAt < 0 || recordIdAt < 0) throw new Error('an update does not say when, or its record')
    return { words: words.with(documentAt, ''), documentAt, timeAt, recordIdAt, sessionId }
  } finally {
    monitor.disconnect()
    await Promise.all([redis.quit(), manager.close(), queue.close()])
  }
}

/** The commands that update one session, one after the other. */
export class Updates {
  #words
  #at
  #versions
  #state

  /** @param {CapturedUpdate} captured */
  constructor({ words, sessionId, ...at }, state) {
    this.#state = state
    this.#at = at
    this.#words = words.map((word) => word.replace(sessionId, state.session_id))
    this.#versions = [EXPECTED, EXPECTED + 1].flatMap((version, step) =>
      this.#words.flatMap((word, at) => {
        const [before, after] = word.split(String(version))
        return after === undefined ? [] : [{ at, before, after, step }]
      }),
    )
  }

  get key() {
    return `session:${this.#state.session_id}`
  }

  /** What is stored before the first one. */
  get stored() {
    return JSON.stringify(this.#state)
  }

  /** The next one; `done` counts the version up. */
  next() {
    const { version } = this.#state
    const document = { ...this.#state, version: version + 1, updated_at: new Date() }
    return this.#make(JSON.stringify(document), version, version + 1)
  }

  done() {
    this.#state.version++
  }

  /** One that writes the version that it expects, so that it can be sent again and again. */
  get repeatable() {
    const { version } = this.#state
    return this.#make(this.stored, version, version)
  }

  #make(document, ...versions) {
    const words = this.#words.slice()
    words[this.#at.documentAt] = document
    words[this.#at.timeAt] = String(Date.now())
    words[this.#at.recordIdAt] = randomUUID()
    for (const { at, before, after, step } of this.#versions) {
      words[at] = before + versions[step] + after
    }
    return words
  }
}
