'use strict'

const os = require('node:os')
const { once } = require('node:events')
const { DBWriteQueue } = require('../../index.js')
const { engines } = require('../harness/engines.js')
const { outcomeOf } = require('../harness/outage.js')
const { recordingLogger } = require('../harness/recording-logger.js')
const { makeState } = require('../harness/sessions.js')
const { SqliteFile } = require('../harness/sqlite.js')
const { sleep, until } = require('../harness/until.js')

describe.each(engines)('$engine', ({ use }) => {
  const store = use()
  let file
  beforeEach(() => {
    file = store.keep(new SqliteFile())
  })

  /** A queue that is closed after the test, which stores in the test's file. */
  function open(options = {}) {
    const migrate = options.worker !== false
    const settings = { databaseUrl: file.url, migrate, backoffDelay: 20 }
    const logger = recordingLogger()
    return store.keep(new DBWriteQueue(store.url, { ...settings, logger, ...options }))
  }

  const NOTHING = {
    waiting: 0,
    active: 0,
    delayed: 0,
    dead: 0,
    stored: 0,
    oldestAgeMs: null,
    lastStoredAt: null,
    workers: [],
    reconnects: 0,
  }

  const write = (queue, type = 'e') => queue.queueWrite('s', makeState(), type)

  test('a queue without records or workers has nothing to tell', async () => {
    const { calls, durations, ...rest } = await open({ worker: false }).metrics()
    expect(rest).toEqual(NOTHING)
    expect(Object.keys(calls)).toEqual(Object.keys(durations))
  })

  test('the oldest record becomes older until it is stored, whatever comes after it', async () => {
    const queue = open({ worker: false })
    await queue.migrate()
    await write(queue)
    const began = performance.now()
    await until(async () => (await queue.metrics()).oldestAgeMs >= 50)
    await write(queue)
    const { oldestAgeMs, ...rest } = await queue.metrics()
    expect(oldestAgeMs).toBeGreaterThanOrEqual(50)
    expect(oldestAgeMs).toBeLessThan(performance.now() - began + 50)
    expect(rest).toMatchObject({ waiting: 2, stored: 0, lastStoredAt: null })
    const before = Date.now()
    open()
    await queue.drained()
    const { lastStoredAt, ...after } = await queue.metrics()
    expect(after).toMatchObject({ waiting: 0, active: 0, stored: 2, oldestAgeMs: null })
    // Of the engine's clock, which may be a few milliseconds off.
    expect(lastStoredAt.getTime()).toBeGreaterThan(before - 50)
    expect(lastStoredAt.getTime()).toBeLessThan(Date.now() + 50)
    expect(lastStoredAt).toBeInstanceOf(Date)
  })

  test('a worker is named, and a record that it has claimed is not stored yet', async () => {
    const writer = open({ worker: false })
    await writer.migrate()
    await file.lock()
    open({ migrate: false })
    await write(writer)
    await until(async () => (await writer.metrics()).workers[0]?.claimed === 1)
    const { workers, active, delayed, oldestAgeMs } = await writer.metrics()
    expect(active + delayed).toBe(1)
    expect(oldestAgeMs).toBeGreaterThanOrEqual(0)
    const [worker] = workers
    expect(workers).toEqual([{ ...worker, claimed: 1 }])
    const host = os.hostname().replaceAll(/[^\w.-]/g, '')
    expect(worker).toMatchObject({ host, lastHeardMs: expect.any(Number) })
    expect(worker.name).toMatch(new RegExp(`^${host}:${process.pid}:[0-9a-f]{16}$`))
    expect(worker.lastHeardMs).toBeLessThan(10_000)
    await file.unlock()
    await writer.drained()
    expect((await writer.metrics()).workers).toMatchObject([{ name: worker.name, claimed: 0 }])
  })

  test('workers are told apart', async () => {
    const queue = open()
    open()
    await until(async () => (await queue.metrics()).workers.length === 2)
    const [one, other] = (await queue.metrics()).workers
    expect(one.name).not.toBe(other.name)
  })

  test('a dead letter has no age; retried, it waits from then on', async () => {
    const queue = open()
    await queue.migrate()
    await file.run(
      `CREATE TRIGGER refuse BEFORE INSERT ON sync_events WHEN NEW.event_type = 'x'
       BEGIN SELECT RAISE(ABORT, 'not this one'); END`,
    )
    const failed = once(queue, 'failed')
    await write(queue, 'x')
    await failed
    expect(await queue.metrics()).toMatchObject({ dead: 1, oldestAgeMs: null, lastStoredAt: null })
    expect(await queue.health()).toEqual({ ready: true, reasons: [] })
    await sleep(200) // How old it is now.
    const other = open({ worker: false })
    await queue.close()
    await other.retryFailed()
    const { dead, oldestAgeMs } = await other.metrics()
    expect(dead).toBe(0)
    expect(oldestAgeMs).toBeLessThan(200)
  })

  test('counts the calls of the queue', async () => {
    const queue = open({ worker: false })
    await write(queue)
    await outcomeOf(queue.queueWrite('', null, 'e'))
    const { calls, durations } = await queue.metrics()
    expect(calls.queueWrite).toEqual({ ok: 1, INVALID_STATE: 1 })
    expect(durations.queueWrite.count).toBe(2)
    expect(calls.getMetrics).toEqual({ ok: 0 })
  })

  test('a queue is ready until it is closed', async () => {
    const [queue, writer] = [open(), open({ worker: false })]
    await write(writer)
    expect(await queue.health()).toEqual({ ready: true, reasons: [] })
    expect(await writer.health()).toEqual({ ready: true, reasons: [] })
    await queue.close()
    expect(await queue.health()).toEqual({
      ready: false,
      reasons: [expect.stringContaining('Closed')],
    })
    await expect(queue.metrics()).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test('a manager is ready until it is closed', async () => {
    const manager = store.open()
    expect(await manager.health()).toEqual({ ready: true, reasons: [] })
    manager.subscribeToUpdates(() => {})
    expect(await manager.health()).toEqual({ ready: true, reasons: [] })
    await manager.close()
    const { ready, reasons } = await manager.health()
    expect(ready).toBe(false)
    expect(reasons).toEqual([expect.stringContaining('Closed')])
  })

  test('messages that wait are those of one manager', async () => {
    const [slow, other, idle] = [store.open(), store.open(), store.open()]
    const counts = []
    slow.subscribeToWebSocket(() => {
      if (counts.length > 0) return
      // JavaScript stands still meanwhile: this callback is a slow one.
      const deadline = performance.now() + 10_000
      while (slow.metrics().callbacksBehind < 99 && performance.now() < deadline);
      counts.push(slow.metrics(), idle.metrics())
    })
    idle.subscribeToUpdates(() => {})
    await Promise.all([slow.subscribed(), idle.subscribed()])
    await Promise.all(Array.from({ length: 100 }, (_, n) => other.broadcastToSession('s', n)))
    await until(() => counts.length > 0 && slow.metrics().callbacksBehind === 0)
    expect(counts[0]).toMatchObject({ callbacksBehind: 99 })
    expect(counts[0].callbacksBehindBytes).toBeGreaterThan(99)
    expect(counts[1]).toMatchObject({ callbacksBehind: 0, callbacksBehindBytes: 0 })
    expect(slow.metrics().callbacksBehindBytes).toBe(0)
  })
})
