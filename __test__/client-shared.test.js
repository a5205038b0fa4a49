'use strict'

const Redis = require('ioredis').default
const { ClosedError, DBWriteQueue, RedisStateManager, createRedisClient } = require('../index.js')
const { Audit } = require('./harness/audit.js')
const { refusalOf } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const audit = Audit.use()
const stored = () => audit.rows('SELECT FROM sync_events')

/** A manager and its queue on one client, after a write whose record is not stored yet. */
async function service({ client = createRedisClient(audit.server.url), worker = true } = {}) {
  const { databaseUrl, queueName, logger } = audit
  const queue = new DBWriteQueue(client, { databaseUrl, queueName, worker, logger })
  audit.keep(queue)
  await queue.migrate()
  const manager = audit.keep(new RedisStateManager(client, undefined, queue, { logger }))
  await manager.createSession(makeState())
  return { client, queue, manager }
}

describe('a manager and a queue share a client', () => {
  it.each([
    ['the manager first', ({ manager, queue }) => [manager, queue]],
    ['the queue first', ({ manager, queue }) => [queue, manager]],
    ['the client first', ({ client, manager, queue }) => [client, manager, queue]],
    ['the client last', ({ client, manager, queue }) => [manager, queue, client]],
  ])('and are closed, %s', async (_name, order) => {
    const one = await service()
    const started = performance.now()
    for (const each of order(one)) await (each.close ?? each.quit).call(each)
    expect(performance.now() - started).toBeLessThan(3000)
    expect(one.client.status).toBe('end')
    expect(audit.logger.told.error).toEqual([])
    for (const call of [() => one.manager.getSession('x'), () => one.queue.getMetrics()]) {
      expect(await refusalOf(call)).toBeInstanceOf(ClosedError)
    }
    // What was acknowledged is stored, now or by the next instance.
    await audit.queue().drained()
    expect(await stored()).toHaveLength(1)
  })

  it('and are closed at once', async () => {
    const { client, manager, queue } = await service()
    await Promise.all([manager.close(), queue.close(), client.quit()])
    expect(client.status).toBe('end')
    expect(audit.logger.told.error).toEqual([])
  })

  it('and the queue goes on until it is closed, too', async () => {
    const { client, manager, queue } = await service()
    const { manager: other } = await service({ client, worker: false })
    await manager.close()
    await queue.queueWrite('session', makeState(), 'late')
    await queue.drained()
    await other.createSession(makeState())
    await queue.close()
    expect(client.status).toBe('ready')
    await other.close()
    await Promise.all([audit.queue().drained()])
    expect(await stored()).toHaveLength(4)
  })

  it('and the manager lets what is in flight end before it is closed', async () => {
    const { manager, queue } = await service({ worker: false })
    const writes = Array.from({ length: 100 }, () => manager.createSession(makeState()))
    await manager.close()
    const outcomes = await Promise.allSettled(writes)
    expect(outcomes.filter(({ status }) => status === 'rejected')).toEqual([])
    expect((await queue.getMetrics()).waiting).toBe(101)
  })

  it('and nothing of a closed manager stays on the client', async () => {
    const { client, manager, queue } = await service({ worker: false })
    const second = new RedisStateManager(client, client, null, { cache: {} })
    const heard = []
    second.subscribeToUpdates((id) => heard.push(id))
    await second.subscribed()
    await second.close()
    await until(async () => !(await audit.redis.client('LIST')).includes('sub=1'))
    await manager.createSession(makeState())
    expect(heard).toEqual([])
    expect(await refusalOf(() => second.getSession('a'))).toBeInstanceOf(ClosedError)
    await manager.close()
    await queue.close()
    expect(client.status).toBe('end')
  })
})

it('an instance of ioredis is ended once the last of those that share it is closed', async () => {
  const instance = new Redis(audit.server.url)
  const { manager, queue } = await service({ client: instance })
  await manager.close()
  expect(instance.status).toBe('ready')
  await queue.queueWrite('session', makeState(), 'late')
  await queue.close()
  await until(() => instance.status === 'end')
})
