'use strict'

const { once } = require('node:events')
const { Worker } = require('node:worker_threads')
const { RedisStateManager } = require('../../index.js')
const { Audit } = require('../harness/audit.js')
const { startScript } = require('../harness/child.js')
const { until } = require('../harness/until.js')

/** A crash at the end is a race: seen once in many. */
const TIMES = 200

/** More would only wait for a processor. */
const AT_ONCE = 4

const audit = Audit.use()

beforeEach(() => audit.queue({ worker: false }).migrate())

/** Calls in flight, a subscription, and an audit worker with records in hand. */
const BUSY = `
  const { DBWriteQueue, RedisStateManager } = require('./index.js')
  const { makeState } = require('./__test__/harness/sessions.js')
  const { redis, queueName, databaseUrl } = settings
  const queue = new DBWriteQueue(redis, { queueName, databaseUrl, batchSize: 20 })
  const manager = new RedisStateManager(redis, null, queue)
  for (const name of ['active', 'completed', 'retrying', 'drained']) queue.on(name, () => {})
  manager.subscribeToUpdates(() => {})
  for (let n = 0; n < 100; n++) {
    const state = makeState()
    manager.createSession(state).catch(() => {})
    manager.getSession(state.session_id).catch(() => {})
  }
  queue.getMetrics().catch(() => {})
`

function settings() {
  const { queueName, databaseUrl } = audit
  return { redis: audit.server.url, queueName, databaseUrl }
}

/** From before the connections are there to after the answers have come, ms. */
const delay = (n) => (n % 25) * 2

/** Runs `one` with each number below `TIMES`, several at a time. */
async function often(one) {
  let next = 0
  const lane = async () => {
    while (next < TIMES) await one(next++)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
}

test(`${TIMES} processes that exit with calls in flight end as they were asked to`, async () => {
  const env = { SETTINGS: JSON.stringify(settings()) }
  await often(async (n) => {
    const exit = `setTimeout(() => process.exit(${n}), ${delay(n)})`
    const source = `const settings = JSON.parse(process.env.SETTINGS)\n${BUSY}\n${exit}`
    const { code, signal, stderr } = await startScript(source, { env }).ended
    expect({ n, code, signal, stderr }).toEqual({ n, code: n, signal: null, stderr: '' })
  })
}, 120_000)

test(`${TIMES} worker threads that are terminated with calls in flight harm nobody`, async () => {
  const manager = audit.keep(new RedisStateManager(audit.server.url))
  let heard = 0
  manager.subscribeToUpdates(() => heard++)
  await manager.subscribed()
  const source = `
    const { parentPort, workerData: settings } = require('node:worker_threads')
    ${BUSY}
    parentPort.postMessage('busy')
  `
  await often(async (n) => {
    const worker = new Worker(source, { eval: true, workerData: settings() })
    await once(worker, 'message')
    await new Promise((resolve) => setTimeout(resolve, delay(n)))
    await worker.terminate()
    expect(await manager.getSession('any')).toBeNull()
  })
  const before = heard
  await manager.deleteSession('any')
  await until(() => heard > before)
}, 120_000)
