'use strict'

const { DBWriteQueue } = require('..')
const { ClusterGroup } = require('./harness/cluster.js')
const { Managers } = require('./harness/managers.js')
const { SqliteFile } = require('./harness/sqlite.js')
const { until } = require('./harness/until.js')

let group
let paused
const managers = new Managers()

beforeAll(async () => {
  // Nobody takes the place of a node that stands still, and the others do not notice within a test.
  group = await ClusterGroup.start({ replicas: 0, nodeTimeoutMs: 60_000 })
  paused = (await group.masters()).at(-1)
}, 30_000)
afterAll(() => group?.stop())
afterEach(async () => {
  paused.resume()
  await managers.close()
})

/** Pauses one of the masters. Resolves to why this one is not ready then. */
async function troubles(one) {
  await until(async () => (await one.health()).ready)
  paused.pause()
  const { reasons } = await until(async () => {
    const health = await one.health()
    return !health.ready && health
  })
  return reasons.join('\n')
}

test('a subscription is not ready while one of the masters stands still', async () => {
  const manager = managers.open(group.url)
  manager.subscribeToUpdates(() => {})
  expect(await troubles(manager)).toContain(`127.0.0.1:${paused.port}`)
  paused.resume()
  await until(async () => (await manager.health()).ready, 20_000)
  const { gaps, reconnects } = manager.metrics()
  expect(gaps).toBeGreaterThanOrEqual(1)
  expect(reconnects).toBeGreaterThanOrEqual(1)
}, 60_000)

test('a manager is not ready once a call has met a master that stands still', async () => {
  const manager = managers.open(group.url, { commandTimeoutMs: 3000 })
  await until(async () => (await manager.health()).ready)
  paused.pause()
  const ids = Array.from({ length: 64 }, (_, n) => `session-${n}`)
  await Promise.allSettled(ids.map((id) => manager.getSession(id)))
  // The question for a sign of life goes to any master.
  const { reasons } = await until(async () => {
    const health = await manager.health()
    return !health.ready && health
  })
  expect(reasons.join('\n')).toContain(`127.0.0.1:${paused.port}`)
  paused.resume()
  await until(async () => (await manager.health()).ready, 20_000)
}, 60_000)

test('a queue is not ready while one of the masters stands still', async () => {
  const file = managers.keep(new SqliteFile())
  const settings = { databaseUrl: file.url, migrate: true, queueName: 'still' }
  const queue = managers.keep(new DBWriteQueue(group.url, settings))
  expect(await troubles(queue)).toContain('127.0.0.1')
  paused.resume()
  await until(async () => (await queue.health()).ready, 20_000)
}, 60_000)

test('a worker without records is known, and one that has left is not for long', async () => {
  const file = managers.keep(new SqliteFile())
  const settings = { databaseUrl: file.url, migrate: true, queueName: 'idle' }
  const [one, other] = [1, 2].map(() => managers.keep(new DBWriteQueue(group.url, settings)))
  const workers = async () => (await one.metrics()).workers
  await until(async () => (await workers()).length === 2)
  await other.close()
  await until(async () => (await workers()).length === 1)
})
