'use strict'

// One of several processes that use the same sessions without a pause, while a test does something to
// the servers. Its parent calls what `serve` adds to `calls`.

const { DBWriteQueue, RedisStateManager, StateError } = require('../../index.js')

/** What a caller may be told while a server is away; a read that has time enough is told nothing. */
const TOLD = ['CONCURRENT_MODIFICATION', 'OUTCOME_UNKNOWN', 'REDIS_UNAVAILABLE']
const WRITERS = 3
const PAUSE_MS = 50

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const oneOf = (ids) => ids[Math.trunc(Math.random() * ids.length)]

/** The longest time without a success. */
class Gap {
  #last = performance.now()
  longest = 0

  /** From now on. */
  begins() {
    this.#last = performance.now()
  }

  succeeded() {
    const now = performance.now()
    this.longest = Math.max(this.longest, now - this.#last)
    this.#last = now
  }
}

class LoadedService {
  #name
  #ids
  /** The sessions that are still written. */
  #written
  #over = false
  #loops = []
  #tokens = 0
  #queue
  #writer
  #reader
  #cached
  /** Between two writes; in a read, as each connection learns by itself where a session is now. */
  #gaps = { reads: new Gap(), writes: new Gap() }
  /** What became of each write. A write adds a token of its own to the session's list. */
  #writes = { acknowledged: [], refused: [] }
  #reads = 0
  #heard = new Map()
  #messages = { sent: 0, heard: new Set(), repeated: 0 }
  #unexpected = []

  constructor({ url, name, databaseUrl, ids, options }) {
    const logger = { debug() {}, info() {}, warn() {}, error() {} }
    this.#name = name
    this.#ids = this.#written = ids
    this.#queue = new DBWriteQueue(url, { databaseUrl, backoffDelay: 100, logger })
    const brief = { commandTimeoutMs: 1500, logger, ...options }
    this.#writer = new RedisStateManager(url, null, this.#queue, brief)
    const patient = { commandTimeoutMs: 30_000, logger }
    this.#reader = new RedisStateManager(url, null, null, patient)
    this.#cached = new RedisStateManager(url, null, null, { ...patient, cache: {} })
  }

  async start() {
    this.#reader.subscribeToUpdates((id, state) => this.#heard.set(id, state))
    this.#reader.subscribeToWebSocket((_id, message) => this.#hear(message))
    await this.#reader.subscribed()
    const loops = Array.from({ length: WRITERS }, () => () => this.#write(oneOf(this.#written)))
    loops.push(
      () => this.#read(),
      () => this.#broadcast(),
    )
    this.#loops = loops.map((work) => this.#repeat(work))
  }

  async #repeat(work) {
    while (!this.#over) {
      await work()
      await sleep(PAUSE_MS)
    }
  }

  async #write(id) {
    const token = `${this.#name}-${++this.#tokens}`
    const began = Date.now()
    let sent = false
    const withToken = (state) => {
      sent = true
      return { ...state, tokens: [...state.tokens, token] }
    }
    try {
      const version = await (this.#tokens % 2
        ? this.#updated(id, withToken)
        : this.#modified(id, withToken))
      this.#gaps.writes.succeeded()
      this.#writes.acknowledged.push({ id, token, version, began, ended: Date.now() })
    } catch (error) {
      this.#told(error)
      const unknown = sent && error.code === 'OUTCOME_UNKNOWN'
      if (!unknown) this.#writes.refused.push({ token, code: error.code })
    }
  }

  async #updated(id, change) {
    const state = await this.#writer.getSession(id)
    await this.#writer.updateSession(id, change(state), state.version)
    return state.version + 1
  }

  async #modified(id, change) {
    const { version } = await this.#writer.modifySession(id, change)
    return version
  }

  async #read() {
    try {
      for (const manager of [this.#reader, this.#cached]) {
        this.#gaps.reads.begins()
        await manager.getSession(oneOf(this.#ids))
        this.#gaps.reads.succeeded()
        await manager.getSessions(this.#ids)
        this.#gaps.reads.succeeded()
      }
      this.#reads++
    } catch (error) {
      this.#unexpected.push(`read: ${error.stack}`)
    }
  }

  async #broadcast() {
    try {
      await this.#writer.broadcastToSession(this.#ids[0], `${this.#name}-${++this.#messages.sent}`)
    } catch (error) {
      this.#told(error)
    }
  }

  #hear(message) {
    const { heard } = this.#messages
    if (heard.has(message)) this.#messages.repeated++
    heard.add(message)
  }

  #told(error) {
    if (error instanceof StateError && TOLD.includes(error.code)) return
    this.#unexpected.push(`write: ${error.stack}`)
  }

  /** Measures gaps from now on. */
  measure() {
    this.#gaps = { reads: new Gap(), writes: new Gap() }
  }

  /** Writes only these sessions from now on. */
  writeOnly(ids) {
    this.#written = ids
  }

  /** How much has succeeded so far. */
  progress() {
    return { reads: this.#reads, writes: this.#writes.acknowledged.length }
  }

  /** Ends all calls. Connections and subscriptions stay. */
  async stop() {
    this.#over = true
    await Promise.all(this.#loops)
    const { reads, writes } = this.#gaps
    return {
      ...this.#writes,
      gaps: { reads: reads.longest, writes: writes.longest },
      repeated: this.#messages.repeated,
      unexpected: this.#unexpected,
    }
  }

  /** The version and the last token of each session: as the subscriber and as the cache have it. */
  async known() {
    const brief = (state) => state && [state.version, state.tokens.at(-1) ?? null]
    const cached = await Promise.all(this.#ids.map((id) => this.#cached.getSession(id)))
    return {
      heard: this.#ids.map((id) => brief(this.#heard.get(id) ?? null)),
      cached: cached.map(brief),
    }
  }

  /** Whether this message, sent by any process, has been heard here. */
  hears(message) {
    return this.#messages.heard.has(message)
  }

  send(message) {
    return this.#writer.broadcastToSession(this.#ids[0], message)
  }

  async close() {
    await Promise.all([this.#writer, this.#reader, this.#cached].map((manager) => manager.close()))
    await this.#queue.close()
  }
}

/** Serves the calls of a parent. */
function serve(calls, settings) {
  const service = new LoadedService(settings)
  const names = [
    'start',
    'progress',
    'measure',
    'writeOnly',
    'stop',
    'known',
    'send',
    'hears',
    'close',
  ]
  for (const name of names) calls[name] = (...args) => service[name](...args)
}

module.exports = { serve }
