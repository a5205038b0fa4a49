import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { Cluster, Redis } from 'ioredis'
import { until } from '../../__test__/harness/until.js'
import { DBWriteQueue, RedisStateManager } from '../../index.js'
import { oneOfEachPartition, partitionOf } from './partitions.mjs'
import { makeSessions } from './session.mjs'

/** Of more digits than an id or a time has in a row: nothing else in the command can hold it. */
const EXPECTED = 7_000_000_000_000_001
const AT_ONCE = 8
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const DIGEST = /^[0-9a-f]{40}$/
const TIME = /(?<!\d)\d{13}(?!\d)/

/**
 * The words of one locked update as the module sends it, for other clients to send the same. What
 * differs from update to update is found by its value, wherever the module puts it.
 *
 * @typedef {object} CapturedUpdate
 * @property {string[]} words
 * @property {string} key of the session
 * @property {string} sessionId whose update it was
 * @property {string} time when it was made, milliseconds
 * @property {string} [recordId] the id of the audit's record
 */

/**
 * @param {string} url
 * @param {string} [queueName] the queue that gets the records of an audited update
 * @returns {Promise<CapturedUpdate>}
 */
export async function captureUpdate(url, queueName) {
  const queue = queueName && new DBWriteQueue(url, { queueName, worker: false })
  const manager = new RedisStateManager(url, null, queue)
  const redis = new Redis(url)
  const { seen, end } = await watch(redis)
  try {
    const sessions = makeSessions(AT_ONCE, 2)
    const update = (state, expected) => manager.updateSession(state.session_id, state, expected)
    for (const state of sessions) {
      const stored = JSON.stringify({ ...state, version: EXPECTED - 1 })
      await redis.set(`session:${state.session_id}`, stored)
      await update(state, EXPECTED - 1) // Loads the script.
    }
    await Promise.all(sessions.map((state) => update(state, EXPECTED)))
    await end()
    // The last of those that went together: it has nothing that only the first of a pipeline has.
    const { session_id: sessionId } = sessions.at(-1)
    const words = seen.findLast((one) => one.includes(`session:${sessionId}`)) ?? []
    return describe(await byHash(redis, words), sessionId, queueName !== undefined)
  } finally {
    await Promise.all([redis.quit(), manager.close(), queue?.close()])
  }
}

/**
 * The same in a cluster, by the partition's number: the partitions differ in their scripts and keys.
 *
 * @param {{ host: string, port: number }[]} nodes all of its masters
 * @returns {Promise<CapturedUpdate[]>}
 */
export async function captureUpdates(nodes) {
  const manager = new RedisStateManager({ nodes })
  const masters = nodes.map((node) => new Redis(node))
  // A monitor of ioredis fails where it sees a command before the answer to its own.
  await Promise.all(masters.map((master) => master.ping()))
  const watched = await Promise.all(masters.map(watch))
  const cluster = new Cluster(nodes)
  const seenOf = ({ session_id: id }) => {
    const isAboutIt = (words) => words.some((word) => word.endsWith(`:${id}`))
    return watched.map(({ seen }) => seen.findLast(isAboutIt)).find((words) => words) ?? []
  }
  const end = () => Promise.all(watched.map((one) => one.end()))
  try {
    const sessions = oneOfEachPartition()
    const update = (state, expected) => manager.updateSession(state.session_id, state, expected)
    await Promise.all(sessions.map((state) => manager.createSession(state)))
    await until(() => sessions.every((state) => seenOf(state).length > 0))
    const keys = sessions.map((state) => keyAmong(seenOf(state), state.session_id))
    for (const [at, state] of sessions.entries()) {
      await cluster.set(keys[at], JSON.stringify({ ...state, version: EXPECTED - 1 }))
      await update(state, EXPECTED - 1) // Loads the script.
    }
    await Promise.all(sessions.map((state) => update(state, EXPECTED)))
    await end()
    return sessions.map((state) => describe(seenOf(state), state.session_id, false))
  } finally {
    await Promise.all([cluster, ...masters].map((one) => one.quit()))
    await manager.close()
  }
}

/** The update to send for a session: in a cluster that of its partition. */
export const captured = (update, { session_id: id }) =>
  Array.isArray(update) ? update[partitionOf(id)] : update

/** Commands that clients send from now on, until `end`. */
async function watch(redis) {
  const monitor = await redis.monitor()
  const seen = []
  const over = once(monitor, 'over')
  monitor.on('monitor', (_time, words, source) => {
    if (words[1] === 'over') monitor.emit('over')
    else if (source !== 'lua') seen.push(words)
  })
  const end = async () => {
    await redis.echo('over')
    await over
    monitor.disconnect()
  }
  return { seen, end }
}

/** A script that was sent as a whole, for its first use, is sent by its hash from then on. */
async function byHash(redis, [name = '', ...args]) {
  if (name.toLowerCase() !== 'eval') return [name.toLowerCase(), ...args]
  const [script, ...rest] = args
  return ['evalsha', await redis.script('LOAD', script), ...rest]
}

function describe(words, sessionId, audited) {
  const others = words.filter((word) => !isDocument(word))
  // A script's digest may have as many digits in a row as a time.
  const times = others.filter((word) => !DIGEST.test(word)).map((word) => TIME.exec(word)?.[0])
  const time = times.find((one) => one !== undefined)
  const recordId = others.find((word) => word !== sessionId && UUID.test(word))
  if (others.length !== words.length - 1 || !words.find(isDocument).includes(EXPECTED + 1)) {
    throw new Error('an update is no longer one command that others could send as well')
  }
  if (time === undefined || audited !== (recordId !== undefined)) {
    throw new Error('an update does not say when it was made, or names no record')
  }
  return { words, key: keyAmong(words, sessionId), sessionId, time, recordId }
}

const keyAmong = (words, sessionId) => words.find((word) => word.endsWith(`:${sessionId}`))

const isDocument = (word) => word.startsWith('{') && word.includes('"participants":[')

/** The commands that update one session, one after the other. */
export class Updates {
  #state
  #key
  /** Makes each word of the command; what is the same in all commands is made once. */
  #makers

  /** @param {CapturedUpdate} captured */
  constructor({ words, key, sessionId, time, recordId }, state) {
    this.#state = state
    this.#key = key.replace(sessionId, state.session_id)
    const kinds = new Map([
      [String(EXPECTED), 'expected'],
      [String(EXPECTED + 1), 'next'],
      [time, 'now'],
    ])
    const varying = new RegExp(`(${[...kinds.keys()].join('|')})`)
    this.#makers = words.map((captured) => {
      if (isDocument(captured)) return ({ document }) => document
      if (captured === recordId) return () => randomUUID()
      const word = captured.replaceAll(sessionId, state.session_id)
      const parts = word.split(varying)
      if (parts.length === 1) return () => word
      return (values) => parts.map((part) => values[kinds.get(part)] ?? part).join('')
    })
  }

  get key() {
    return this.#key
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

  #make(document, expected, next) {
    const values = { document, expected, next, now: Date.now() }
    return this.#makers.map((make) => make(values))
  }
}
