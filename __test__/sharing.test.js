'use strict'

const Redis = require('ioredis').default
const { ClosedError, DBWriteQueue, RedisStateManager, createRedisClient } = require('..')
const { Audit, running } = require('./harness/audit.js')
const { runScript } = require('./harness/child.js')
const { refusalOf } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const audit = Audit.use()

const makers = [
  ['a client of this module', () => createRedisClient(audit.server.url)],
  ['an instance of ioredis', () => new Redis(audit.server.url)],
]

describe.each(makers)('%s that a manager and a queue share', (_what, make) => {
  let client
  let queue
  let manager
  let told

  beforeEach(async () => {
    told = []
    client = make()
    client.on('error', () => {})
    queue = new DBWriteQueue(client, {
      queueName: audit.queueName,
      databaseUrl: audit.databaseUrl,
      logger: audit.logger,
    })
    await queue.migrate()
    manager = new RedisStateManager(client, client, queue, { logger: audit.logger, cache: {} })
    manager.subscribeToUpdates((id) => told.push(id))
    await manager.subscribed()
  })
  afterEach(async () => {
    await Promise.all([manager.close(), queue.close(true)])
    client.disconnect()
  })

  const isEnded = () => client.status === 'end'
  const events = async () => {
    const [{ count }] = await audit.postgres.query(
      audit.databaseUrl,
      'SELECT count(*)::int AS count FROM sync_events',
    )
    return count
  }
  const write = (count) =>
    Promise.all(Array.from({ length: count }, () => manager.createSession(running())))

  test('manager, then queue: what was queued is stored, and the queue can be asked until it is closed', async () => {
    await write(200)
    await manager.close()
    await queue.queueWrite(crypto.randomUUID(), running(), 'after_close')
    await queue.drained()
    expect(await queue.getMetrics()).toMatchObject({ waiting: 0, active: 0, failed: 0 })
    expect(await events()).toBe(201)
    expect(isEnded()).toBe(false)
    await queue.close()
    await until(isEnded)
  })

  test('queue, then manager', async () => {
    await write(50)
    await queue.drained()
    await queue.close()
    expect(await manager.getSession('none')).toBeNull()
    expect(isEnded()).toBe(false)
    await manager.close()
    await until(isEnded)
    expect(await events()).toBe(50)
  })

  test('the client first: the others are closed then, and their close() resolves', async () => {
    await write(50)
    await client.quit()
    expect(await refusalOf(() => manager.getSession('none'))).toBeInstanceOf(ClosedError)
    expect(await refusalOf(() => queue.getMetrics())).toBeInstanceOf(ClosedError)
    await queue.close()
    await manager.close()
    expect(isEnded()).toBe(true)
    // What it did not store waits in Redis, for others or the next start.
    const next = audit.queue()
    await next.drained()
    expect(await events()).toBe(50)
  })

  test('all at once', async () => {
    await write(50)
    await Promise.all([manager.close(), queue.close(), client.quit()])
    await until(isEnded)
    const next = audit.queue()
    await next.drained()
    expect(await events()).toBe(50)
  })

  test('the closed manager is closed, whoever goes on using its client', async () => {
    const other = new RedisStateManager(client, client)
    await manager.close()
    await manager.close()
    const error = await refusalOf(() => manager.createSession(makeState()))
    expect(error).toBeInstanceOf(ClosedError)
    expect(() => manager.subscribeToUpdates(() => {})).toThrow(ClosedError)
    expect(await refusalOf(() => manager.subscribed())).toBeInstanceOf(ClosedError)
    // The other manager and the queue work, and the closed one hears nothing.
    const heard = []
    other.subscribeToUpdates((id) => heard.push(id))
    await other.subscribed()
    const state = running()
    await other.createSession(state)
    expect(await other.getSession(state.session_id)).toMatchObject({ version: 1 })
    await until(() => heard.length === 1)
    expect(told).toEqual([])
    await queue.close()
    expect(isEnded()).toBe(false)
    await other.close()
    await until(isEnded)
  })

  test('what is in flight when the manager closes ends well', async () => {
    const calls = Array.from({ length: 100 }, () => manager.createSession(running()))
    await manager.close()
    expect(await Promise.all(calls)).toHaveLength(100)
  })

  test('close() of the manager resolves in time where Redis does not answer', async () => {
    await manager.getSession('none')
    audit.server.pause()
    try {
      const call = refusalOf(() => manager.getSession('none'))
      const started = performance.now()
      await manager.close()
      expect(performance.now() - started).toBeLessThan(2000)
      await call
    } finally {
      audit.server.resume()
    }
  })
})

test('a process ends by itself where the manager is closed, and an idle queue shares its client', async () => {
  const ended = await runScript(
    `
    const { DBWriteQueue, RedisStateManager, createRedisClient } = require('.')
    const client = createRedisClient()
    const queue = new DBWriteQueue(client, { worker: false })
    const manager = new RedisStateManager(client, client, queue)
    manager.subscribeToUpdates(() => {})
    manager.subscribed().then(() => manager.close()).then(() => console.log('closed'))
  `,
    { env: { REDIS_URL: audit.server.url } },
  )
  expect(ended).toMatchObject({ code: 0, stderr: '', stdout: 'closed\n' })
})
