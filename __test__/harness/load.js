'use strict'

const { monitorEventLoopDelay } = require('node:perf_hooks')
const { DBWriteQueue, RedisStateManager } = require('../../index.js')
const { CallableProcess } = require('./callable-process.js')
const { makeState } = require('./sessions.js')
const { sleep, until } = require('./until.js')
const { checkRecords, checkWrites } = require('./write-history.js')

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
  /** For how long this process could not run, which the callers' processes cannot know of themselves. */
  #delay = monitorEventLoopDelay({ resolution: 10 })
  /** How many connections there were before the fault. */
  #connections

  constructor({ servers, postgres }) {
    this.#servers = servers
    this.#postgres = postgres
  }

  /**
   * Runs `fault` under load, which resolves when the servers have settled, and checks everything. A fault
   * of several parts awaits between them what it is passed: until all have read and written again.
   *
   * @param {string} name of the fault, for what is reported
   * @param {object} setting
   * @param {Servers} setting.servers
   * @param {import('./postgres.js').PostgresServer} setting.postgres
   * @param {object} [setting.options] of the managers that write
   * @param {number} [setting.lost] how many acknowledged writes may be gone; default: any number
   * @param {(hasGoneOn: () => Promise<void>) => Promise<void>} fault
   */
  static async run(name, { servers, postgres, options, lost }, fault) {
    const load = new Load({ servers, postgres })
    try {
      await load.#start(options)
      const watch = await servers.watch()
      try {
        load.#delay.enable()
        await load.#during(fault)
      } finally {
        await watch.stop()
        load.#delay.disable()
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
    // A subscriber catches up on what it has heard of.
    await until(async () => (await this.#all('known')).every(({ heard }) => heard.every(Boolean)))
    this.#connections = await this.#servers.connections()
    expect(this.#connections.atMost.all).toBeGreaterThan(0)
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
    await this.#all('measure')
    const began = Date.now()
    const faulty = fault(() => this.#progress())
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
    // A machine that is busy with other things holds up everybody.
    const mostMs = ownMs + LATE_MS + this.#delay.max / 1e6
    const results = await this.#all('stop')
    expect(results.flatMap(({ unexpected }) => unexpected)).toEqual([])
    for (const { gaps, repeated } of results) {
      expect(gaps.reads).toBeLessThan(mostMs)
      expect(gaps.writes).toBeLessThan(mostMs)
      expect(repeated).toBe(0)
    }
    const stored = await this.#stored()
    const history = { ids: this.#ids, results, stored }
    const gone = checkWrites(history, this.#fault)
    await this.#checkKnown(stored)
    await this.#checkMessages()
    const query = (sql) => this.#postgres.query(this.#databaseUrl, sql)
    await checkRecords(history, { query, hasChanged: watch.hasChanged })
    await this.#checkConnections()

    const count = results.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)
    const gap = Math.max(...results.flatMap(({ gaps }) => [gaps.reads, gaps.writes]))
    process.stderr.write(
      `${name}: ${gone.length} of ${count} acknowledged writes lost; the servers were away for ` +
        `${Math.round(ownMs)} ms, the longest gap of a caller was ${Math.round(gap)} ms\n`,
    )
    expect(gone.length).toBeLessThanOrEqual(lost)
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

  /** The connections are as before; and none is left after all is closed. */
  async #checkConnections() {
    const { same, atMost } = this.#connections
    const isAsBefore = (now) =>
      Object.keys(same).every((name) => now.same[name] === same[name]) &&
      Object.keys(atMost).every((name) => now.atMost[name] <= atMost[name])
    let now
    await until(async () => {
      now = await this.#servers.connections()
      return isAsBefore(now)
    }).catch(() => {})
    if (!isAsBefore(now)) expect(now).toEqual(this.#connections)
    await this.#all('close')
    await until(async () => {
      const left = await this.#servers.connections()
      return Object.values({ ...left.same, ...left.atMost }).every((count) => count === 0)
    })
  }

  async #stored() {
    const texts = await this.#servers.stored(this.#ids)
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

/** @typedef {import('./one-master.js').OneMaster | import('./cluster-masters.js').ClusterMasters} Servers */

module.exports = { Load }
