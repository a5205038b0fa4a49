'use strict'

const { AsyncLocalStorage } = require('node:async_hooks')
const { once } = require('node:events')
const { DBWriteQueue, RedisClient, RedisStateManager } = require('..')
const { runScript } = require('./harness/child.js')
const { RedisServer } = require('./harness/redis.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const storage = new AsyncLocalStorage()
const silent = { error() {}, warn() {}, info() {}, debug() {} }

let server
let first
let manager

beforeAll(async () => {
  server = await RedisServer.start()
  // Whatever is made here for all clients must not get this context.
  first = storage.run('the first client', () => new RedisClient(server.url))
  await storage.run('the first call', () => first.ping())
  manager = new RedisStateManager(server.url)
})
afterAll(async () => {
  await manager.close()
  await first.quit()
  await server.stop()
})

test('a subscription callback runs in the context in which it was registered', async () => {
  const heard = []
  const note = () => heard.push(storage.getStore())
  storage.run('updates', () => manager.subscribeToUpdates(note))
  storage.run('messages', () => manager.subscribeToWebSocket(note))
  manager.subscribeToWebSocket(note)
  await manager.subscribed()
  await storage.run('the writer', () => manager.createSession(makeState()))
  await storage.run('the sender', () => manager.broadcastToSession('any', 1))
  await until(() => heard.length >= 3)
  expect(heard).toEqual(['updates', 'messages', undefined])
})

test('a call goes on in the context of its caller', async () => {
  const contexts = await Promise.all(
    ['a', 'b', undefined].map((context) =>
      storage.run(context, async () => {
        await manager.getSession('any')
        return storage.getStore()
      }),
    ),
  )
  expect(contexts).toEqual(['a', 'b', undefined])
})

describe("a client's listener", () => {
  let client
  beforeEach(() => {
    client = storage.run('its maker', () => new RedisClient(server.url))
  })
  afterEach(() => client.quit())

  test('runs in the context in which it was added, however it was added', async () => {
    const heard = []
    for (const add of ['on', 'addListener', 'once', 'prependListener', 'prependOnceListener']) {
      storage.run(add, () => client[add]('ready', () => heard.push(storage.getStore())))
    }
    client.on('ready', () => heard.push(storage.getStore()))
    await storage.run('the caller', () => client.ping())
    expect(heard).toEqual([
      'prependOnceListener',
      'prependListener',
      'on',
      'addListener',
      'once',
      undefined,
    ])
  })

  test('is the one that was added: for `this`, arguments, listeners() and off()', () => {
    const calls = []
    function listener(...args) {
      calls.push([this === client, ...args])
    }
    client.on('a', listener)
    client.once('a', listener)
    expect(client.listeners('a')).toEqual([listener, listener])
    expect(client.listenerCount('a')).toBe(2)
    client.emit('a', 1, 2)
    expect(calls).toEqual([
      [true, 1, 2],
      [true, 1, 2],
    ])
    expect(client.listeners('a')).toEqual([listener])
    client.off('a', listener)
    client.once('a', listener)
    client.removeListener('a', listener)
    client.emit('a', 3)
    expect(calls).toHaveLength(2)
    expect(() => client.on('a', 'no function')).toThrow('listener')
    expect(() => client.once('a', undefined)).toThrow('listener')
  })

  test('that is added by once() is called once, also by an event within an event', async () => {
    let calls = 0
    client.once('a', () => {
      calls++
      client.emit('a')
    })
    client.prependListener('a', () => {
      if (calls === 0) client.removeAllListeners('b')
    })
    client.emit('a')
    expect(calls).toBe(1)
    setImmediate(() => client.emit('b', 'told'))
    expect(await once(client, 'b')).toEqual(['told'])
  })
})

test("a queue's listener runs in the context in which it was added", async () => {
  const databaseUrl = 'postgres://127.0.0.1:1/none'
  const queue = new DBWriteQueue(server.url, { databaseUrl, logger: silent })
  const heard = []
  storage.run('a listener', () => queue.on('error', () => heard.push(storage.getStore())))
  storage.run('another', () => queue.once('error', () => heard.push(storage.getStore())))
  await queue.queueWrite('s', makeState({ session_id: 's' }), 'custom')
  await until(() => heard.length >= 2)
  expect(heard.slice(0, 2)).toEqual(['a listener', 'another'])
  await queue.close(true)
})

test('what the first client was made in, and what calls were made in, is not kept alive', async () => {
  const ended = await runScript(
    `
    require('node:v8').setFlagsFromString('--expose-gc')
    const gc = require('node:vm').runInNewContext('gc')
    const { AsyncLocalStorage } = require('node:async_hooks')
    const { RedisStateManager } = require('.')
    const { makeState } = require('./__test__/harness/sessions.js')
    const storage = new AsyncLocalStorage()

    let manager
    async function request() {
      manager = new RedisStateManager(process.env.REDIS_URL)
      const state = makeState()
      await manager.createSession(state)
      await manager.updateSession(state.session_id, state, 1)
      await Promise.all(Array.from({ length: 2000 }, () => manager.getSession('any')))
      const unsubscribe = manager.subscribeToUpdates(() => {})
      await manager.subscribed()
      unsubscribe()
    }
    async function handle() {
      const context = { of: 'a request' }
      await storage.run(context, request)
      return new WeakRef(context)
    }

    ;(async () => {
      const context = await handle()
      for (let tries = 0; tries < 50 && context.deref(); tries++) {
        await new Promise((resolve) => setTimeout(resolve, 20))
        await manager.getSession('any')
        gc()
      }
      console.log(context.deref() === undefined ? 'collected' : 'kept')
      await manager.close()
    })()
    `,
    { env: { REDIS_URL: server.url } },
  )
  expect(ended).toMatchObject({ code: 0, stderr: '', stdout: 'collected\n' })
})
