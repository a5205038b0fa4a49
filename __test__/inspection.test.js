'use strict'

const util = require('node:util')
const { DBWriteQueue, RedisStateManager, createRedisClient } = require('..')
const { Managers } = require('./harness/managers.js')
const { RedisServer } = require('./harness/redis.js')

const managers = new Managers()
let server
let address

beforeAll(async () => {
  server = await RedisServer.start()
  address = `127.0.0.1:${server.port}`
  await server.client().acl('SETUSER', 'user', 'on', '>hunter2', '~*', '&*', '+@all')
})
afterAll(() => server.stop())
afterEach(() => managers.close())

const url = () => `redis://user:hunter2@${address}`
const queue = (options) =>
  managers.keep(
    new DBWriteQueue(url(), { databaseUrl: 'postgres://u:hunter2@h/d', worker: false, ...options }),
  )

test('a manager shows where it is, its prefix, its status and what is in flight', async () => {
  const manager = managers.keep(new RedisStateManager(url(), null, queue(), 'app:'))
  expect(util.inspect(manager)).toBe(
    `RedisStateManager {\n  server: '${address}',\n  keyPrefix: 'app:',\n  status: 'wait',\n  inFlight: 0\n}`,
  )
  const calls = [manager.getSession('a'), manager.getSession('b')]
  expect(util.inspect(manager)).toMatch(/inFlight: 2/)
  await Promise.all(calls)
  expect(util.inspect(manager)).toMatch(/status: 'ready',\n {2}inFlight: 0/)
  await manager.close()
  expect(util.inspect(manager)).toMatch(/status: 'closed'/)
})

test('a client shows where it is, its status and what is in flight', async () => {
  const client = managers.keep(createRedisClient(url()))
  client.on('error', () => {})
  const call = client.ping()
  expect(util.inspect(client)).toMatch(/inFlight: 1/)
  await call
  expect(util.inspect(client)).toBe(
    `RedisClient { server: '${address}', status: 'ready', inFlight: 0 }`,
  )
  await client.quit()
  expect(util.inspect(client)).toMatch(/status: 'end'/)
})

test('a queue shows where it is, its name, its status and what is in flight', async () => {
  const one = queue({ queueName: 'audit' })
  await one.getMetrics()
  expect(util.inspect(one).replace(/\s+/g, ' ')).toBe(
    `DBWriteQueue { server: '${address}', queueName: 'audit', worker: false, status: 'ready', inFlight: 0 }`,
  )
  const closed = one.close()
  expect(util.inspect(one)).toMatch(/'closing'/)
  await closed
  expect(util.inspect(one)).toMatch(/'closed'/)
})

test('no secret is shown, however much is asked for', () => {
  const client = createRedisClient(url())
  const all = [client, queue(), managers.keep(new RedisStateManager(client, client))]
  for (const options of [{}, { depth: null, showHidden: true, getters: true }]) {
    const text = util.inspect(all, options) + util.format('%o %O', all, all)
    expect(text).not.toContain('hunter2')
    expect(text.split('\n').length).toBeLessThan(120)
  }
})

test('a subclass is shown by its name, and what is too deep by its name alone', () => {
  class StateManager extends RedisStateManager {}
  const manager = managers.keep(new StateManager(url()))
  expect(util.inspect(manager)).toMatch(/^StateManager \{/)
  expect(util.inspect({ app: { state: { manager } } })).toMatch(/\[StateManager\]/)
})
