'use strict'

const { createHash } = require('node:crypto')
const { DBWriteQueue, RedisStateManager } = require('../../index.js')
const { CallableProcess } = require('./callable-process.js')
const { MasterWatch } = require('./master-watch.js')
const { makeState } = require('./sessions.js')
const { sleep, until } = require('./until.js')

const PROCESSES = 3
const SESSIONS = 16
/** How many of them are written for the last time when a fault has begun. */
const QUIET = 6
/** How much later than the server's own failover a caller may go on. */
const LATE_MS = 500
/** Between the last writes of two sessions, from a fault's beginning. */
const QUIET_MS = 400

/**
 * Three processes that write, read, hear and audit the same sessions, and the check that all of it was
 * right whatever happened to the servers. Each write adds a token of its own to the list in a session,
 * under `expectedVersion`: so what is stored tells which writes are in it, in which order.
 */
class Load {
  #servers
  #postgres
  #databaseUrl
  #processes = []
  #ids = Array.from({ length: SESSIONS }, (_, n) => `counter-${n}`)
  /** When the fault began and when all had settled again, by `Date.now()`. */
  #fault
  /** How many of this module's connections each server had, by port. */
  #connections

  constructor({ servers, postgres }) {
    this.#servers = servers
    this.#postgres = postgres
  }

  /**
   * Runs `fault` under load, which resolves when the servers have settled, and checks everything.
   *
   * @param {string} name of the fault, for what is reported
   * @param {object} setting
   * @param {{ url: string, servers: RedisServer[], master(): Promise<RedisServer> }} setting.servers
   *   those of a `SentinelGroup`, for example
   * @param {import('./postgres.js').PostgresServer} setting.postgres
   * @param {object} [setting.options] of the managers that write
   * @param {number} [setting.lost] how many acknowledged writes may be gone; default: any number
   * @param {() => Promise<void>} fault
   */
  static async run(name, { servers, postgres, options, lost }, fault) {
    const load = new Load({ servers, postgres })
    try {
      await load.#start(options)
      const watch = new MasterWatch(servers)
      try {
        await load.#during(fault)
      } finally {
        await watch.stop()
      }
      await load.#check(name, { watch, lost })
    } finally {
      await load.#kill()
    }
  }

  async #start(options) {
    const { url } = this.#servers
    this.#databaseUrl = await this.#postgres.createDatabase()
    const queue = new DBWriteQueue(url, { databaseUrl: this.#databaseUrl, worker: false })
    const manager = new RedisStateManager(url, null, queue)
    await queue.migrate()
    for (const id of this.#ids)
      await manager.createSession(makeState({ session_id: id, tokens: [] }))
    await manager.close()
    await queue.close()
    const ids = this.#ids
    for (let n = 0; n < PROCESSES; n++) {
      const settings = { url, name: `${n}`, databaseUrl: this.#databaseUrl, ids, options }
      this.#processes.push(
        new CallableProcess(
          `require('./__test__/processes/loaded-service.js').serve(calls, ${JSON.stringify(settings)})`,
          {},
        ),
      )
    }
    await this.#all('start')
    await this.#progress()
    this.#connections = await this.#connectionsByServer()
    expect(this.#open(this.#connections)).toBeGreaterThan(0)
  }

  /** Resolves when every process has read and written again. */
  async #progress() {
    const before = await this.#all('progress')
    await until(async () => {
      const now = await this.#all('progress')
      return now.every(
        ({ reads, writes }, n) => reads > before[n].reads + 5 && writes > before[n].writes + 10,
      )
    }, 20_000)
  }

  /**
   * From the fault's beginning one session after the other is written for the last time: what is known
   * of those, only the truth of their servers can mend.
   */
  async #during(fault) {
    const began = Date.now()
    const faulty = fault()
    for (let quiet = 1; quiet <= QUIET; quiet++) {
      await this.#all('writeOnly', this.#ids.slice(quiet))
      await sleep(QUIET_MS)
    }
    await faulty
    this.#fault = { began, ended: Date.now() }
    await this.#progress()
  }

  /** Ends the calls and checks everything. */
  async #check(name, { watch, lost = Infinity }) {
    const ownMs = watch.longest
    const results = await this.#all('stop')
    expect(results.flatMap(({ unexpected }) => unexpected)).toEqual([])
    for (const { gaps, repeated } of results) {
      expect(gaps.reads).toBeLessThan(ownMs + LATE_MS)
      expect(gaps.writes).toBeLessThan(ownMs + LATE_MS)
      expect(repeated).toBe(0)
    }
    const stored = await this.#stored()
    const gone = this.#checkWrites(results, stored)
    await this.#checkKnown(stored)
    await this.#checkMessages()
    await this.#checkAudit(results, stored, watch.hasChanged)
    await this.#checkConnections()

    const count = results.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)
    const gap = Math.max(...results.flatMap(({ gaps }) => [gaps.reads, gaps.writes]))
    process.stderr.write(
      `${name}: ${gone.length} of ${count} acknowledged writes lost; the servers were away for ` +
        `${Math.round(ownMs)} ms, the longest gap of a caller was ${Math.round(gap)} ms\n`,
    )
    expect(gone.length).toBeLessThanOrEqual(lost)
  }

  /** No write is in twice, none that was refused, and what is gone went in a failover. */
  #checkWrites(results, stored) {
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
      expect(stored[this.#ids.indexOf(id)].tokens[version - 2]).toBe(token)
    }
    const gone = acknowledged.filter(({ token }) => !all.has(token))
    const { began, ended } = this.#fault
    const unexplained = gone.filter((one) => one.ended < began - 100 || one.began > ended)
    expect(unexplained).toEqual([])
    return gone
  }

  /** Subscribers and caches know what is stored. */
  async #checkKnown(stored) {
    const truth = stored.map(({ version, tokens }) => [version, tokens.at(-1) ?? null])
    let known
    const right = async () => {
      known = await this.#all('known')
      const lists = known.flatMap(({ heard, cached }) => [heard, cached])
      return lists.every((list) => JSON.stringify(list) === JSON.stringify(truth))
    }
    await until(right, 10_000).catch(() => {})
    for (const { heard, cached } of known) {
      expect(heard).toEqual(truth)
      expect(cached).toEqual(truth)
    }
  }

  /** What one process sends, all hear. */
  async #checkMessages() {
    for (const [n, one] of this.#processes.entries()) {
      await one.call('send', `last-${n}`)
      await until(async () => (await this.#all('hears', `last-${n}`)).every(Boolean))
    }
  }

  /**
   * Each change that is stored has one record, and none that was refused has any. But a write that a
   * failover has undone before its answer came is tried again, may then be in conflict, and has a record.
   * A write is known by all tokens up to its own, as `modifySession` repeats one after such a conflict.
   */
  async #checkAudit(results, stored, hasChanged) {
    const expected = stored.flatMap(({ tokens }, n) =>
      tokens.map((token, at) => `${this.#ids[n]} ${hashOf(tokens.slice(0, at + 1))} ${token}`),
    )
    let events
    const complete = async () => {
      events = await this.#postgres.query(
        this.#databaseUrl,
        `SELECT concat_ws(
           ' ', session_id, md5(state_snapshot ->> 'tokens'), state_snapshot -> 'tokens' ->> -1
         ) AS write FROM sync_events WHERE state_snapshot -> 'version' <> '1'`,
      )
      const there = new Set(events.map(({ write }) => write))
      return expected.every((write) => there.has(write))
    }
    await until(complete, 15_000).catch(() => {})
    const writes = events.map(({ write }) => write)
    expect(expected.filter((write) => !writes.includes(write))).toEqual([])
    expect(writes.filter((write, n) => writes.indexOf(write) !== n)).toEqual([])
    const refused = new Set()
    for (const { token, code } of results.flatMap((result) => result.refused))
      if (!hasChanged || code !== 'CONCURRENT_MODIFICATION') refused.add(token)
    expect(writes.filter((write) => refused.has(write.split(' ')[2]))).toEqual([])
  }

  /** As many connections as before, all to the master; and none after all is closed. */
  async #checkConnections() {
    const { port } = await this.#servers.master()
    const before = this.#open(this.#connections)
    let now
    await until(async () => {
      now = await this.#connectionsByServer()
      return now[port] === before && this.#open(now) === before
    }).catch(() => {})
    expect(now[port]).toBe(before)
    expect(this.#open(now)).toBe(before)
    await this.#all('close')
    await until(async () => this.#open(await this.#connectionsByServer()) === 0)
  }

  #open(connections) {
    return Object.values(connections).reduce((sum, count) => sum + count, 0)
  }

  async #connectionsByServer() {
    const counts = this.#servers.servers.map(async (server) => {
      const client = server.client()
      const list = await client.client('LIST')
      client.disconnect()
      return [
        server.port,
        list.split('\n').filter((line) => line.includes('name=synckairos')).length,
      ]
    })
    return Object.fromEntries(await Promise.all(counts))
  }

  async #stored() {
    const client = (await this.#servers.master()).client()
    const texts = await client.mget(this.#ids.map((id) => `session:${id}`))
    client.disconnect()
    return texts.map((text) => JSON.parse(text))
  }

  #all(name, ...args) {
    return Promise.all(this.#processes.map((one) => this.#call(one, name, args)))
  }

  /** A process that has ended would never answer. */
  #call(one, name, args) {
    const died = one.ended.then(({ code, signal, stderr }) => {
      throw new Error(`a process under load has ended (${code ?? signal}): ${stderr}`)
    })
    died.catch(() => {})
    return Promise.race([one.call(name, ...args), died])
  }

  /** Ends the processes, whatever they do. */
  async #kill() {
    await Promise.all(this.#processes.map((one) => one.kill()))
  }
}

/** As PostgreSQL's `md5()` of these tokens in its `jsonb`. */
function hashOf(tokens) {
  const text = tokens.map((token) => `"${token}"`).join(', ')
  return createHash('md5').update(`[${text}]`).digest('hex')
}

module.exports = { Load }
