'use strict'

const { CallMeter } = require('../lib/telemetry/CallMeter.js')
const { tableUnder, textOf } = require('./harness/documentation.js')
const { FakeServer } = require('./harness/fake-server.js')
const { Managers } = require('./harness/managers.js')
const { Outage, outcomeOf } = require('./harness/outage.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const outage = Outage.use()
const managers = new Managers()
afterEach(() => managers.close())

const outcomesOf = (manager, method) => manager.metrics().calls[method]

test('a call beyond maxInFlight counts as OVERLOADED', async () => {
  const manager = outage.manage(outage.server.url, { maxInFlight: 1 })
  await Promise.all([1, 2, 3].map(() => outcomeOf(manager.getSession('any'))))
  expect(outcomesOf(manager, 'getSession')).toEqual({ ok: 1, OVERLOADED: 2 })
})

test('a call that cannot be sent counts as REDIS_UNAVAILABLE, and lasts until its deadline', async () => {
  outage.proxy.mode = 'refuse'
  const manager = outage.manage(outage.proxy.url, { commandTimeoutMs: 700 })
  await outcomeOf(manager.touchSession('any'))
  expect(outcomesOf(manager, 'touchSession')).toEqual({ ok: 0, REDIS_UNAVAILABLE: 1 })
  const { buckets, sum } = manager.metrics().durations.touchSession
  expect(buckets.findIndex((count) => count > 0)).toBe(6) // Longer than 0.5 s, and not than 1 s.
  expect(sum).toBeGreaterThanOrEqual(0.69)
})

test('a write whose answer is lost counts as OUTCOME_UNKNOWN', async () => {
  const manager = await outage.connected({ commandTimeoutMs: 600 })
  const before = outcomesOf(manager, 'createSession').ok
  outage.proxy.mode = 'swallow'
  await outcomeOf(manager.createSession(makeState()))
  expect(outcomesOf(manager, 'createSession')).toEqual({ ok: before, OUTCOME_UNKNOWN: 1 })
})

test('what Redis refuses counts as REDIS_REPLY', async () => {
  const server = await FakeServer.start()
  server.answer('GET', () => '-NOPERM no\r\n')
  const manager = managers.open(server.url)
  await outcomeOf(manager.getSession('any'))
  expect(outcomesOf(manager, 'getSession')).toEqual({ ok: 0, REDIS_REPLY: 1 })
  await managers.close()
  await server.stop()
})

test('what is stored and is no session counts as STATE_DESERIALIZATION_ERROR', async () => {
  const manager = outage.manage(outage.server.url)
  await outage.redis.set('session:bad', 'no JSON')
  await outcomeOf(manager.getSession('bad'))
  await outcomeOf(manager.getSessions(['bad']))
  await manager.getSessions(['bad'], { onCorrupt() {} })
  expect(outcomesOf(manager, 'getSession')).toEqual({ ok: 0, STATE_DESERIALIZATION_ERROR: 1 })
  expect(outcomesOf(manager, 'getSessions')).toEqual({ ok: 1, STATE_DESERIALIZATION_ERROR: 1 })
})

test('a read that the cache answers is a hit, any other is a miss', async () => {
  const manager = outage.manage(outage.server.url, { cache: {} })
  const { session_id: id } = await outage.given({ updated_at: new Date() })
  const hits = () => manager.metrics().cacheHits
  await until(async () => (await manager.getSession(id)) && hits() > 0)
  const before = manager.metrics()
  await manager.getSession(id)
  await manager.modifySession(id, () => undefined)
  await manager.getSession('nobody')
  const after = manager.metrics()
  expect(after.cacheHits - before.cacheHits).toBe(2)
  expect(after.cacheMisses - before.cacheMisses).toBe(1)
  expect(after.calls.getSession.ok - before.calls.getSession.ok).toBe(2)
})

test('the reference names each metric, and each method', async () => {
  const manager = managers.open('memory:')
  const rows = tableUnder('docs/reference.md', '## Metrics').map(([field]) => field)
  expect(rows).toEqual(Object.keys(manager.metrics()).map((name) => `\`${name}\``))
  for (const method of Object.keys(manager.metrics().calls))
    expect(textOf('docs/reference.md')).toContain(`\`${method}\``)
})

describe('a duration', () => {
  const bucketOf = (seconds) => {
    const meter = new CallMeter(['before', 'method', 'after'])
    meter.ok(1, 0, undefined, seconds * 1000)
    const { before, method, after } = meter.read().durations
    expect([before.count, method.count, after.count]).toEqual([0, 1, 0])
    expect(method.sum).toBeCloseTo(seconds)
    return method.buckets.indexOf(1)
  }

  test.each([
    [0, 0],
    [0.001, 0],
    [0.0011, 1],
    [0.005, 1],
    [0.01, 2],
    [0.05, 3],
    [0.1, 4],
    [0.5, 5],
    [1, 6],
    [5, 7],
    [10, 8],
    [10.001, 9],
    [600, 9],
  ])('of %d s is in bucket %i', (seconds, bucket) => {
    expect(bucketOf(seconds)).toBe(bucket)
  })
})
