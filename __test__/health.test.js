'use strict'

const { RedisStateManager } = require('..')
const { Audit, running } = require('./harness/audit.js')
const { healthOf } = require('../lib/report/health.js')
const { until } = require('./harness/until.js')

const audit = Audit.use()

const READY = { ready: true, reasons: [] }

/** A manager whose connections lead to these URLs, closed after the test. */
const manage = (url, pubSub = url, options = {}) =>
  audit.keep(new RedisStateManager(url, pubSub, undefined, options))

/** What one has to say once it is not ready, and how long it took to say so. */
async function trouble(one, timeoutMs) {
  const told = await until(async () => {
    const began = performance.now()
    const health = await one.health()
    return !health.ready && { ...health, ms: performance.now() - began }
  }, timeoutMs)
  // A readiness probe is prompt, and what it says is short and holds no password.
  expect(told.ms).toBeLessThan(2500)
  expect(Math.max(...told.reasons.map((reason) => reason.length))).toBeLessThanOrEqual(300)
  return told.reasons.join('\n')
}

const isReady = async (one) => (await one.health()).ready

describe('a manager is not ready', () => {
  test('while Redis stands still, though the idle connection looks well', async () => {
    const manager = manage(audit.server.url)
    expect(await manager.health()).toEqual(READY)
    audit.server.pause()
    try {
      // At the first question: a connection that owes nothing does not notice by itself.
      const { ready, reasons } = await manager.health()
      expect(ready).toBe(false)
      expect(reasons.join()).toContain(`127.0.0.1:${audit.server.port}`)
    } finally {
      audit.server.resume()
    }
    await until(() => isReady(manager))
  })

  test('while Redis cannot be reached, and counts that it was found again', async () => {
    const proxy = await audit.redisProxy()
    const manager = manage(proxy.url)
    expect(await manager.health()).toEqual(READY)
    proxy.mode = 'refuse'
    proxy.reset()
    expect(await trouble(manager)).toContain(`127.0.0.1:${proxy.port}`)
    expect(manager.metrics().reconnects).toBe(0)
    proxy.mode = 'pass'
    await until(() => isReady(manager))
    expect(manager.metrics()).toMatchObject({ reconnects: 1, gaps: 0 })
    // A manager that is made now has lost nothing.
    expect(manage(proxy.url).metrics().reconnects).toBe(0)
  })

  test('with a subscription whose connection stays open and brings nothing', async () => {
    const proxy = await audit.redisProxy()
    const manager = manage(audit.server.url, proxy.url)
    manager.subscribeToUpdates(() => {})
    await manager.subscribed()
    expect(await manager.health()).toEqual(READY)
    proxy.mode = 'blackhole'
    const reasons = await trouble(manager)
    expect(reasons).toContain(`127.0.0.1:${proxy.port}: the subscription was not confirmed in time`)
    expect(await manager.getSession('any')).toBeNull()
    proxy.mode = 'pass'
    await until(() => isReady(manager), 15_000)
    expect(manager.metrics()).toMatchObject({ reconnects: 1, gaps: 1 })
  })

  test('with a subscription that Redis refuses, and is ready without one', async () => {
    const rules = ['on', '>secret', '~*', '+@all', '-subscribe', '&*']
    await audit.redis.call('ACL', 'SETUSER', 'deaf', ...rules)
    const url = `redis://deaf:secret@127.0.0.1:${audit.server.port}`
    const manager = manage(url)
    expect(await manager.health()).toEqual(READY)
    const end = manager.subscribeToUpdates(() => {})
    const reasons = await trouble(manager)
    expect(reasons).toContain('NOPERM')
    expect(reasons).not.toContain('secret')
    end()
    await until(() => isReady(manager))
  })

  test('while its callbacks are far behind', async () => {
    const manager = manage(audit.server.url)
    let health
    manager.subscribeToWebSocket(() => {
      if (health) return
      const deadline = performance.now() + 20_000
      while (manager.metrics().callbacksBehind < 30_000 && performance.now() < deadline);
      health = manager.health()
    })
    await manager.subscribed()
    const message = JSON.stringify({ sessionId: 's', message: 1, timestamp: 1 })
    const publish = `for i = 1, 35000 do redis.call('PUBLISH', 'ws:s', ARGV[1]) end`
    await audit.redis.eval(publish, 0, message)
    await until(() => health)
    const { ready, reasons } = await health
    expect({ ready, reasons }).toEqual({
      ready: false,
      reasons: [expect.stringMatching(/\d{5} messages \(\d+ bytes\) wait for callbacks/)],
    })
    await until(() => isReady(manager))
    expect(manager.metrics().callbacksBehind).toBe(0)
  })
})

describe('a queue is not ready', () => {
  test('while Redis stands still', async () => {
    const queue = audit.queue()
    await until(() => isReady(queue))
    audit.server.pause()
    try {
      expect(await trouble(queue)).toContain(`127.0.0.1:${audit.server.port}`)
    } finally {
      audit.server.resume()
    }
    await until(() => isReady(queue))
  })

  test('while its worker has no Redis', async () => {
    const proxy = await audit.redisProxy()
    const queue = audit.queue({ url: proxy.url })
    await until(async () => (await queue.metrics()).workers.length === 1)
    proxy.mode = 'refuse'
    proxy.reset()
    await until(async () => (await trouble(queue)).includes('The audit worker has no Redis'))
    proxy.mode = 'pass'
    await until(() => isReady(queue), 15_000)
    // The connection of the queue, and that of the worker.
    expect((await queue.metrics()).reconnects).toBe(2)
  })

  test('while PostgreSQL cannot be reached', async () => {
    const proxy = await audit.postgresProxy()
    const queue = audit.queue({ databaseUrl: proxy.url })
    await queue.migrate()
    proxy.mode = 'refuse'
    proxy.reset()
    await queue.queueWrite('s', running(), 'e')
    const reasons = await trouble(queue)
    expect(reasons).toContain('PostgreSQL is unavailable, audit records wait')
    expect(reasons).toContain(`127.0.0.1:${proxy.port}`)
    proxy.mode = 'pass'
    await until(() => isReady(queue), 15_000)
  })

  test('while PostgreSQL stands still', async () => {
    const queue = audit.queue()
    await queue.migrate()
    await audit.postgres.pause()
    try {
      await queue.queueWrite('s', running(), 'e')
      expect(await trouble(queue, 25_000)).toContain('PostgreSQL is unavailable')
    } finally {
      audit.postgres.resume()
    }
    await until(() => isReady(queue), 20_000)
  }, 60_000)

  /** A record that was queued so long ago. */
  const old = (ageMs) =>
    audit.redis.xadd(audit.stream, `${Date.now() - ageMs}-0`, 'id', 'a', 'session', 's')

  test('while records wait and there is no worker', async () => {
    const queue = audit.queue({ worker: false })
    await old(29_000)
    expect(await queue.health()).toEqual(READY)
    const reasons = await trouble(queue)
    expect(reasons).toContain(`127.0.0.1:${audit.server.port}: audit queue ${audit.queueName}`)
    expect(reasons).toMatch(/no worker was heard of in the last 30 s; 1 records wait, the oldest/)
  })

  test('while a worker stores nothing, and records grow old', async () => {
    const queue = audit.queue()
    await queue.migrate()
    const unlock = await audit.lockEvents()
    await old(59_000)
    await until(async () => (await queue.metrics()).workers[0]?.claimed === 1)
    const reasons = await trouble(queue)
    expect(reasons).toMatch(/no record was stored yet; 1 records wait, the oldest for 6\d s/)
    expect(reasons).not.toContain('no worker')
    await unlock()
    await until(() => isReady(queue))
    // What was stored a moment ago is no standstill, however old the backlog is.
    await until(async () => (await queue.metrics()).lastStoredAt !== null)
  })

  test('while the only worker is frozen, with a record in its hand', async () => {
    const queue = audit.queue({ worker: false })
    await queue.migrate()
    await queue.queueWrite('s', running(), 'first')
    const worker = audit.worker()
    await queue.drained()
    const unlock = await audit.lockEvents()
    await queue.queueWrite('s', running(), 'second')
    await until(async () => (await queue.metrics()).workers[0]?.claimed === 1)
    await worker.pause()
    await unlock()
    expect(await queue.health()).toEqual(READY)
    const reasons = await trouble(queue, 45_000)
    expect(reasons).toMatch(/no worker was heard of in the last 30 s; 1 records wait/)
    const { active, delayed, oldestAgeMs, workers } = await queue.metrics()
    expect(active + delayed).toBe(1)
    expect(oldestAgeMs).toBeGreaterThan(30_000)
    expect(workers).toMatchObject([{ claimed: 1 }])
    expect(workers[0].lastHeardMs).toBeGreaterThan(30_000)
    worker.resume()
    await until(() => isReady(queue))
    await queue.drained()
  }, 90_000)

  test('where Redis refuses to tell of it, but for the workers alone', async () => {
    const rules = ['on', '>secret', '~*', '+@all', '&*']
    await audit.redis.call('ACL', 'SETUSER', 'blind', ...rules, '-xinfo')
    await audit.redis.call('ACL', 'SETUSER', 'mute', ...rules, '-evalsha', '-eval')
    const open = (user) => {
      const url = `redis://${user}:secret@127.0.0.1:${audit.server.port}`
      return audit.queue({ url, worker: false })
    }
    await old(40_000)
    const blind = open('blind')
    expect(await blind.metrics()).toMatchObject({ waiting: 1, workers: null })
    expect(await blind.health()).toEqual(READY) // Nobody knows whether there is a worker.
    expect(await trouble(open('mute'))).toContain('NOPERM')
  })
})

test('a reason is cut where it is too long for a probe', () => {
  const { reasons } = healthOf(['x'.repeat(1000), 'short'])
  expect(reasons.map((reason) => reason.length)).toEqual([300, 5])
})
