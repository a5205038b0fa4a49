'use strict'

const { InvalidStateError, RedisReplyError } = require('../index.js')
const { Audit, running } = require('./harness/audit.js')
const { startScript } = require('./harness/child.js')
const { refusalOf } = require('./harness/refusal.js')
const { until } = require('./harness/until.js')

const audit = Audit.use()

describe.each(['bullmq5', 'bullmq'])('what services have queued with %s', (library) => {
  const { Queue, Worker } = require(library)

  const connection = () => ({ host: '127.0.0.1', port: audit.server.port })

  /** The write queue of an older instance. */
  const old = (options) =>
    audit.keep(new Queue(audit.queueName, { connection: connection(), ...options }))

  const oldWorker = (work, options) =>
    audit.keep(
      new Worker(audit.queueName, work, { connection: connection(), concurrency: 10, ...options }),
    )

  const add = (queue, state, eventType = 'session_updated', options = {}) =>
    queue.add(
      eventType,
      { sessionId: state.session_id, state, eventType, timestamp: 1_700_000_000_000 },
      { attempts: 1, ...options },
    )

  const leftOf = (queue) =>
    queue.getJobCountByTypes('waiting', 'active', 'delayed', 'failed', 'prioritized', 'paused')

  it('reaches PostgreSQL, whether it waits, is delayed, or has failed', async () => {
    const jobs = old()
    const states = Array.from({ length: 250 }, (_, n) => running({ own: { n, none: [] } }))
    const failing = oldWorker(() => Promise.reject(new Error('no PostgreSQL')))
    for (const state of states.slice(0, 120)) await add(jobs, state, 'session_created')
    await until(async () => (await jobs.getFailedCount()) === 120)
    await failing.close()
    for (const state of states.slice(120, 140)) await add(jobs, state, 'x', { delay: 3_600_000 })
    for (const state of states.slice(140, 150)) await add(jobs, state, 'x', { priority: 3 })
    for (const state of states.slice(150)) await add(jobs, state)

    const queue = audit.queue()
    await queue.migrate()
    expect(await queue.adoptBullMQ()).toEqual({ adopted: 250, skipped: [] })
    await queue.drained()
    const events = await audit.events()
    expect(events).toHaveLength(250)
    const snapshots = new Map(events.map((event) => [event.session_id, event]))
    for (const state of states) {
      const { state_snapshot, timestamp } = snapshots.get(state.session_id)
      expect(state_snapshot).toEqual(JSON.parse(JSON.stringify(state)))
      expect(timestamp.getTime()).toBe(1_700_000_000_000)
    }
    expect(events.filter((event) => event.event_type === 'session_created')).toHaveLength(120)
    expect(await leftOf(jobs)).toBe(0)
    expect(await queue.adoptBullMQ()).toEqual({ adopted: 0, skipped: [] })
  })

  it('is stored by one of both, while older instances add to it and work on it', async () => {
    const [first, second] = [audit.queue(), audit.queue({ worker: false })]
    await first.migrate()
    const jobs = old()
    const byOld = []
    oldWorker(async ({ data }) => {
      byOld.push(data.sessionId)
    })
    const ids = []
    const producing = (async () => {
      for (let n = 0; n < 60; n++) {
        const states = Array.from({ length: 20 }, () => running())
        ids.push(...states.map((state) => state.session_id))
        await Promise.all(states.map((state) => add(jobs, state)))
      }
    })()
    let adopted = 0
    let isProduced = false
    producing.then(() => {
      isProduced = true
    })
    do {
      const both = await Promise.all([first.adoptBullMQ(), second.adoptBullMQ()])
      for (const one of both) adopted += one.adopted
    } while (!isProduced)
    await until(async () => (await leftOf(jobs)) === 0)
    await first.drained()
    const byOurs = (await audit.events()).map((event) => event.session_id)
    expect(byOurs).toHaveLength(adopted)
    expect(adopted).toBeGreaterThan(0)
    expect([...byOld, ...byOurs].sort()).toEqual([...ids].sort())
  })

  it('is left where it is, if it is with a worker or no record', async () => {
    const jobs = old()
    let finish
    const finished = new Promise((resolve) => {
      finish = resolve
    })
    audit.keep({ close: finish })
    let begin
    const working = new Promise((resolve) => {
      begin = resolve
    })
    const work = () => {
      begin()
      return finished
    }
    oldWorker(work, { concurrency: 1 })
    await add(jobs, running())
    await working
    const strange = []
    for (const data of [{}, { sessionId: 'a', state: null }, { sessionId: '', state: {} }, 7]) {
      strange.push((await jobs.add('other', data)).id)
    }
    for (let n = 0; n < 120; n++) await add(jobs, running())
    const queue = audit.queue({ worker: false })
    const { adopted, skipped } = await queue.adoptBullMQ()
    expect(adopted).toBe(120)
    expect(skipped.sort()).toEqual(strange.sort())
    expect(await jobs.getActiveCount()).toBe(1)
    expect(await jobs.getWaitingCount()).toBe(4)
    finish()
  })

  it('is taken from a worker that was killed, once its lock has run out', async () => {
    const jobs = old()
    for (let n = 0; n < 3; n++) await add(jobs, running())
    const { child, ended } = startScript(
      `const { Worker } = require('${library}')
       const [name, port] = JSON.parse(process.env.QUEUE)
       new Worker(name, () => new Promise(() => {}), {
         connection: { host: '127.0.0.1', port }, concurrency: 10, lockDuration: 3000,
       })`,
      { env: { QUEUE: JSON.stringify([audit.queueName, audit.server.port]) } },
    )
    await until(async () => (await jobs.getActiveCount()) === 3)
    const queue = audit.queue({ worker: false })
    expect(await queue.adoptBullMQ()).toEqual({ adopted: 0, skipped: [] })
    child.kill('SIGKILL')
    await ended
    const locks = `bull:${audit.queueName}:*:lock`
    await until(async () => (await audit.redis.keys(locks)).length === 0)
    expect(await queue.adoptBullMQ()).toEqual({ adopted: 3, skipped: [] })
    expect(await leftOf(jobs)).toBe(0)
    expect(await queue.getMetrics()).toMatchObject({ waiting: 3 })
  })

  it('stays whole where Redis has no memory for more', async () => {
    const jobs = old()
    for (let n = 0; n < 10; n++) await add(jobs, running())
    const queue = audit.queue({ worker: false })
    await queue.getMetrics()
    await audit.redis.config('SET', 'maxmemory', '1')
    try {
      expect(await refusalOf(() => queue.adoptBullMQ())).toBeInstanceOf(RedisReplyError)
    } finally {
      await audit.redis.config('SET', 'maxmemory', '0')
    }
    expect(await jobs.getWaitingCount()).toBe(10)
    expect(await queue.adoptBullMQ()).toEqual({ adopted: 10, skipped: [] })
  })

  it('may have another name and prefix', async () => {
    const jobs = audit.keep(
      new Queue('elsewhere', { connection: connection(), prefix: `own-${library}` }),
    )
    await add(jobs, running())
    const queue = audit.queue({ worker: false })
    const from = { queueName: 'elsewhere', prefix: `own-${library}` }
    expect(await queue.adoptBullMQ()).toEqual({ adopted: 0, skipped: [] })
    expect(await queue.adoptBullMQ(from)).toEqual({ adopted: 1, skipped: [] })
    expect(await queue.getMetrics()).toMatchObject({ waiting: 1 })
  })
})

test.each([{ queueName: '' }, { prefix: 7 }])('a name like %j is refused', async (from) => {
  const queue = audit.queue({ worker: false })
  expect(await refusalOf(() => queue.adoptBullMQ(from))).toBeInstanceOf(InvalidStateError)
})
