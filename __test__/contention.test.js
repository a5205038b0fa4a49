'use strict'

// What the tests of contention need a Redis for: several processes, and a server that stands still.

const { startScript } = require('./harness/child.js')
const { Managers } = require('./harness/managers.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { RedisServer } = require('./harness/redis.js')
const { refusalOf } = require('./harness/refusal.js')
const { counterOf, increment } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

let server
const managers = new Managers()

beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server.stop())
afterEach(() => managers.close())

const open = (options) => managers.open(server.url, options)
const never = () => new Promise(() => {})

test('200 writers of one session in four processes: each increments once', async () => {
  const id = await counterOf(open())
  const source = `
    const { RedisStateManager } = require('./index.js')
    const manager = new RedisStateManager(process.env.REDIS_URL)
    const increment = (state) => ({ ...state, count: state.count + 1 })
    process.once('message', async () => {
      await Promise.all(Array.from({ length: 50 }, () => manager.modifySession('${id}', increment)))
      await manager.close()
      process.disconnect()
    })
    manager.getSession('${id}').then(() => process.send('ready'))`
  const processes = Array.from({ length: 4 }, () =>
    startScript(source, { env: { REDIS_URL: server.url }, ipc: true }),
  )
  await Promise.all(
    processes.map(({ child }) => new Promise((resolve) => child.once('message', resolve))),
  )
  for (const { child } of processes) child.send('go')
  for (const { code, stderr } of await Promise.all(processes.map(({ ended }) => ended))) {
    expect([code, stderr]).toEqual([0, ''])
  }
  expect(await open().getSession(id)).toMatchObject({ version: 201, count: 200 })
}, 30_000)

test('callers of one manager are told that Redis may be slow, and not only a callback', async () => {
  const logger = recordingLogger()
  const manager = open({ logger })
  const id = await counterOf(manager)
  server.pause()
  const both = [manager.modifySession(id, increment), manager.modifySession(id, increment)]
  await until(() => logger.told.warn.some(({ sessionId }) => sessionId === id))
  server.resume()
  await Promise.all(both)
  const { message } = logger.told.warn.find(({ sessionId }) => sessionId === id)
  expect(message).toContain('Redis is slow')
})

test('a caller waits no longer for Redis than its time, wherever it is', async () => {
  const manager = open({ commandTimeoutMs: 800 })
  const id = await counterOf(manager)
  manager.modifySession(id, never)
  const started = performance.now()
  const waiting = refusalOf(() => manager.modifySession(id, increment))
  await until(() => performance.now() - started > 100)
  server.pause()
  const error = await waiting
  server.resume()
  expect(['REDIS_UNAVAILABLE', 'OUTCOME_UNKNOWN']).toContain(error.code)
  expect(performance.now() - started).toBeLessThan(1000)
})
