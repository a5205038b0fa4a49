'use strict'

const { spawnSync } = require('node:child_process')
const {
  ClosedError,
  RedisReplyError,
  RedisUnavailableError,
  createRedisClient,
} = require('../index.js')
const { Managers } = require('./harness/managers.js')
const { TcpProxy } = require('./harness/proxy.js')
const { RedisServer } = require('./harness/redis.js')
const { refusalOf } = require('./harness/refusal.js')
const { until } = require('./harness/until.js')

let server
let redis
const clients = new Managers()

beforeAll(async () => {
  server = await RedisServer.start()
  redis = server.client()
})

afterEach(() => clients.close())

afterAll(() => server.stop())

const open = (...args) => clients.keep(createRedisClient(...args))

/** All events of messages that a client emits, as they come. */
function heardBy(client) {
  const heard = []
  for (const event of ['message', 'messageBuffer', 'pmessage', 'pmessageBuffer']) {
    client.on(event, (...args) => heard.push([event, ...args]))
  }
  return heard
}

it('counts and events are those of ioredis', async () => {
  const all = []
  for (const client of [server.client(), open(server.url)]) {
    const heard = heardBy(client)
    const counts = [
      await client.subscribe('a', 'b'),
      await client.subscribe(['b', 'c']),
      await client.psubscribe('p*', 'q*'),
      await client.unsubscribe('b'),
      await client.unsubscribe('none'),
    ]
    const bytes = Buffer.from([0, 255, 128])
    for (const [channel, message] of [
      ['a', 'ü'],
      ['b', 'not heard'],
      ['p1', bytes],
      ['a', ''],
      ['a', bytes],
    ]) {
      await redis.publish(channel, message)
    }
    await until(() => heard.length === 8)
    counts.push(await client.punsubscribe('p*', 'q*'))
    counts.push(await client.unsubscribe('a', 'c'))
    all.push({ heard, counts })
    client.disconnect()
  }
  expect(all[1]).toStrictEqual(all[0])
})

it('a callback gets the count', async () => {
  const client = open(server.url)
  const told = await new Promise((resolve) => client.subscribe('a', (...args) => resolve(args)))
  expect(told).toEqual([null, 1])
})

it('a name with half a surrogate pair is sent as ioredis sends it', async () => {
  for (const client of [server.client(), open(server.url)]) {
    const heard = heardBy(client)
    expect(await client.subscribe('a\ud800')).toBe(1)
    expect(await client.subscribe('b')).toBe(2)
    await redis.publish('a\ufffd', 'x')
    await until(() => heard.length > 0)
    expect(heard[0]).toEqual(['message', 'a\ufffd', 'x'])
    expect(await client.unsubscribe('a\ud800')).toBe(1)
  }
})

it('a client that subscribes still runs commands', async () => {
  const client = open(server.url)
  const heard = heardBy(client)
  await client.subscribe('a')
  expect(await client.publish('a', 'x')).toBe(1)
  await until(() => heard.length === 2)
  expect(await client.ping()).toBe('PONG')
})

it('what the user may not listen to is refused, and costs the others nothing', async () => {
  await redis.acl('SETUSER', 'limited', 'on', '>x', '+@all', '~*', 'resetchannels', '&good*')
  const client = open(`redis://limited:x@127.0.0.1:${server.port}`)
  const heard = heardBy(client)
  const isRefused = async (subscribe) => {
    const error = await refusalOf(subscribe)
    expect(error).toBeInstanceOf(RedisReplyError)
    expect(error.message).toMatch(/^NOPERM/)
  }
  await isRefused(() => client.subscribe('bad'))
  expect(await client.subscribe('good1')).toBe(1)
  let losses = 0
  client.on('reconnecting', () => losses++)
  const refused = [() => client.subscribe('bad'), () => client.subscribe('bad', 'good2')]
  await Promise.all([...refused, () => client.psubscribe('*')].map(isRefused))
  expect(losses).toBe(0)
  expect(await client.subscribe('good3')).toBe(2)
  await redis.client('KILL', 'TYPE', 'PUBSUB')
  await until(() => losses > 0)
  await until(async () => (await redis.publish('good1', 'x')) > 0)
  expect(await redis.publish('good2', 'x')).toBe(0)
  await until(() => heard.length > 0)
  expect(heard[0]).toEqual(['message', 'good1', 'x'])
})

it('what is subscribed to is subscribed to again after a loss, whatever has changed meanwhile', async () => {
  const proxy = await TcpProxy.start(server.port)
  try {
    const client = open(proxy.url)
    const heard = heardBy(client)
    await client.subscribe('a', 'b')
    proxy.mode = 'refuse'
    proxy.reset()
    await until(() => client.status === 'reconnecting')
    const changed = [client.unsubscribe('b'), client.psubscribe('p*')]
    proxy.mode = 'pass'
    expect(await Promise.all(changed)).toEqual([1, 2])
    for (const channel of ['a', 'b', 'p1']) await redis.publish(channel, 'x')
    await until(() => heard.length === 4)
    expect(heard.map(([event, ...names]) => [event, String(names[0])])).toEqual([
      ['message', 'a'],
      ['messageBuffer', 'a'],
      ['pmessage', 'p*'],
      ['pmessageBuffer', 'p*'],
    ])
  } finally {
    await proxy.stop()
  }
})

it('one that is not confirmed in time says so, and comes later', async () => {
  const proxy = await TcpProxy.start(server.port)
  try {
    proxy.mode = 'refuse'
    const client = open(proxy.url, { commandTimeoutMs: 200 })
    const error = await refusalOf(() => client.subscribe('a'))
    expect(error).toBeInstanceOf(RedisUnavailableError)
    expect(error.message).toContain(String(proxy.port))
    proxy.mode = 'pass'
    await until(async () => (await redis.publish('a', 'x')) === 1)
  } finally {
    await proxy.stop()
  }
})

it('ends with its client', async () => {
  const client = createRedisClient(server.url)
  await client.subscribe('a')
  await client.quit()
  expect(await refusalOf(() => client.subscribe('b'))).toBeInstanceOf(ClosedError)
  await until(async () => (await redis.publish('a', 'x')) === 0)
})

it.each(['quit', 'disconnect'])(
  'what is still to be unsubscribed from when a client ends by %s is not heard any more: no rejection',
  async (end) => {
    // `@socket.io/redis-adapter` does not await it: a rejection would end a process that shuts down.
    const proxy = await TcpProxy.start(server.port)
    try {
      const client = open(proxy.url)
      await client.subscribe('a')
      await client.psubscribe('p*')
      proxy.mode = 'refuse'
      proxy.reset()
      await until(() => client.status === 'reconnecting')
      const added = refusalOf(() => client.subscribe('b'))
      const left = Promise.all([client.punsubscribe('p*'), client.unsubscribe('a')])
      client[end]()
      expect(await left).toEqual([2, 1])
      expect(await added).toBeInstanceOf(ClosedError)
    } finally {
      await proxy.stop()
    }
  },
)

it('ends for all, where none is named', async () => {
  const client = open(server.url)
  await client.subscribe('a', 'b')
  expect(await client.psubscribe('p*')).toBe(3)
  expect(await client.unsubscribe()).toBe(1)
  expect(await client.punsubscribe()).toBe(0)
  expect(await redis.publish('a', 'x')).toBe(0)
})

/** Publishes so many messages of a megabyte, while this thread stands still. */
function flood(channel, count) {
  const source = `
    const redis = new (require('ioredis').default)(${server.port})
    const all = Array.from({ length: ${count} }, () => redis.publish('${channel}', Buffer.alloc(1 << 20)))
    Promise.all(all).then(() => redis.disconnect())`
  const { status } = spawnSync(process.execPath, ['-e', source])
  expect(status).toBe(0)
}

it('messages that nobody takes are bounded in bytes, and it goes on when they are taken', async () => {
  const client = open(server.url)
  let count = 0
  client.on('messageBuffer', () => count++)
  await client.subscribe('big')
  // Or else Redis would be the first to give the connection up.
  await redis.config('SET', 'client-output-buffer-limit', 'pubsub 0 0 0')
  const before = process.memoryUsage().rss
  flood('big', 300)
  expect(process.memoryUsage().rss - before).toBeLessThan(200 << 20)
  await until(() => client.status === 'ready' && count > 0)
  count = 0
  await until(async () => (await redis.publish('big', 'x')) === 1)
  await until(() => count > 0)
})
