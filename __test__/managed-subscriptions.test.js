'use strict'

const { createRedisClient } = require('..')
const { ManagedRedis } = require('./harness/managed-redis.js')
const { TcpProxy } = require('./harness/proxy.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { RedisServer, freePort } = require('./harness/redis.js')
const { createdBy, makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const RESP2 = ['HELLO', 'CLIENT', 'CONFIG']

const servers = ManagedRedis.use()
const { managers } = servers
const managed = (options, target) => servers.start(options, target)

/** A manager behind a proxy, what it hears of updates, and what it tells its logger. */
async function subscriber(url) {
  const logger = recordingLogger()
  const manager = managers.open(url, { logger })
  const heard = []
  manager.subscribeToUpdates((id, state) => heard.push([id, state?.version ?? null]))
  await manager.subscribed()
  return { manager, heard, logger }
}

const of = (heard, id) => heard.filter(([about]) => about === id).map(([, version]) => version)

const gaps = ({ told }) => told.warn.map(({ gap }) => gap).filter(Boolean)

/** What is heard of a session that was changed while it was re-read after a gap, when `held` is held up. */
async function changedMeanwhile(refuses, held) {
  const writer = managers.open(servers.server.url)
  const state = await createdBy(writer)
  const { session_id: id } = state
  let changed
  const change = (request) => {
    if (!request.includes('MGET')) return undefined
    changed ??= writer.updateSession(id, state)
    return changed
  }
  const proxy = await managed({ refuses, [held]: change })
  const { heard, logger } = await subscriber(proxy.url)
  await writer.updateSession(id, state)
  await until(() => of(heard, id).length === 1)
  proxy.cut()
  await until(() => gaps(logger).length === 1)
  expect(changed).toBeDefined()
  await writer.updateSession(id, state)
  await until(() => of(heard, id).includes(4))
  return of(heard, id)
}

describe('a subscription in RESP2', () => {
  test('listens where a server answers HELLO 3 in RESP2, as it speaks nothing else', async () => {
    const proxy = servers.keep(await TcpProxy.start(servers.server.port))
    proxy.rewritten = (words) => (/^hello$/i.test(words[0]) && words[1] ? ['HELLO', '2'] : words)
    const { manager, heard, logger } = await subscriber(proxy.url)
    const { session_id: id } = await createdBy(manager)
    await until(() => of(heard, id).length === 1)
    expect(logger.told.warn).toEqual([])
  })

  test('that re-reads a session hears of its change right before that once', async () => {
    expect(await changedMeanwhile(RESP2, 'asking')).toEqual([2, 3, 4])
  })

  test('that was cut is told of what changed meanwhile, once', async () => {
    const proxy = await managed({ refuses: RESP2 })
    const { heard, logger } = await subscriber(proxy.url)
    const writer = managers.open(servers.server.url)
    const [updated, deleted, untouched] = [
      await createdBy(writer),
      await createdBy(writer),
      await createdBy(writer),
    ]
    await until(() => heard.length === 3)
    heard.length = 0
    proxy.target = await freePort() // Nobody is there.
    proxy.cut()
    await until(() => logger.told.warn.some(({ reason }) => reason !== undefined))
    await writer.updateSession(updated.session_id, updated)
    await writer.deleteSession(deleted.session_id)
    proxy.target = servers.server.port
    await until(() => gaps(logger).length === 1)
    await writer.updateSession(untouched.session_id, untouched)
    await until(() => of(heard, untouched.session_id).length > 0)
    expect(of(heard, updated.session_id)).toEqual([2])
    expect(of(heard, deleted.session_id)).toEqual([null])
    expect(of(heard, untouched.session_id)).toEqual([2])
    expect(gaps(logger)).toEqual([
      { lastedMs: expect.any(Number), known: 3, reread: 3, changed: 2 },
    ])
  })

  test('that is cut again and again under load hears no version that is older than one before, and the last', async () => {
    const proxy = await managed({ refuses: RESP2, ageMs: 150 })
    const { heard, logger } = await subscriber(proxy.url)
    const writer = managers.open(servers.server.url)
    const states = Array.from({ length: 20 }, () => makeState())
    await Promise.all(states.map((state) => writer.createSession(state)))
    const deadline = performance.now() + 20_000
    while (gaps(logger).length < 10 && performance.now() < deadline) {
      await Promise.all(states.map((state) => writer.updateSession(state.session_id, state)))
    }
    expect(gaps(logger).length).toBeGreaterThanOrEqual(10)
    for (const { session_id: id } of states) {
      const { version } = await writer.getSession(id)
      await until(() => of(heard, id).at(-1) === version)
      const versions = of(heard, id)
      expect(versions).toEqual([...versions].sort((a, b) => a - b))
      expect(new Set(versions).size).toBe(versions.length)
    }
  }, 40_000)

  test('of a user that may not publish is caught up with by the next update', async () => {
    const proxy = await managed({ refuses: [...RESP2, 'PUBLISH', 'EVAL'] })
    const { heard, logger } = await subscriber(proxy.url)
    const writer = managers.open(servers.server.url)
    const state = await createdBy(writer)
    await until(() => heard.length === 1)
    proxy.cut()
    await until(() => gaps(logger).length === 1)
    expect(gaps(logger)[0]).toMatchObject({ known: 1, reread: 0 })
    await writer.updateSession(state.session_id, state)
    await until(() => of(heard, state.session_id).includes(2))
  })

  test("of the client's owner hears messages of channels and patterns, and may end", async () => {
    const proxy = await managed({ refuses: RESP2 })
    const client = managers.keep(createRedisClient(proxy.url))
    const heard = []
    client.on('message', (...message) => heard.push(message))
    client.on('pmessage', (...message) => heard.push(message))
    await client.subscribe('a', 'b')
    await client.psubscribe('p*')
    await servers.redis.publish('a', '1')
    await servers.redis.publish('pq', '2')
    await client.unsubscribe('a')
    await servers.redis.publish('a', '3')
    await servers.redis.publish('b', 'message') // A word that begins other lists.
    await until(() => heard.length === 3)
    expect(heard).toEqual([
      ['a', '1'],
      ['p*', 'pq', '2'],
      ['b', 'message'],
    ])
    await client.unsubscribe()
    await client.punsubscribe()
    await until(async () => (await servers.redis.pubsub('CHANNELS')).length === 0)
  })

  test('leaves no connection behind', async () => {
    const proxy = await managed({ refuses: RESP2, ageMs: 100 })
    const { manager, logger } = await subscriber(proxy.url)
    await until(() => gaps(logger).length >= 5)
    // One for calls, two for the subscription.
    expect(proxy.connected).toBeLessThanOrEqual(3)
    await manager.close()
    await until(() => proxy.connected === 0)
  })
})

describe.each([
  ['RESP3', []],
  ['RESP2', RESP2],
])('a subscription in %s', (_protocol, refuses) => {
  test('that re-reads a session hears of its change right after that', async () => {
    expect(await changedMeanwhile(refuses, 'answering')).toEqual([2, 3, 4])
  })

  test.each([
    ['where nothing is published', false],
    ['where messages keep coming', true],
  ])('leaves a server that has become a replica within 5 s, %s', async (_when, isBusy) => {
    const [old, next] = [await RedisServer.start(), await RedisServer.start()]
    let publishing
    try {
      const proxy = await managed({ refuses }, old.port)
      const { heard } = await subscriber(proxy.url)
      const [oldRedis, nextRedis] = [old.client(), next.client()]
      if (isBusy) publishing = setInterval(() => oldRedis.publish('session-updates', '{}'), 20)
      const subscribers = async (one) => (await one.pubsub('NUMSUB', 'session-updates'))[1]
      expect(await subscribers(oldRedis)).toBe(1)
      // Its connections stay, and new ones lead elsewhere.
      proxy.target = next.port
      await oldRedis.replicaof('127.0.0.1', await freePort())
      await until(async () => (await subscribers(nextRedis)) === 1, 5000)
      expect(await subscribers(oldRedis)).toBe(0)
      const state = await createdBy(managers.open(next.url))
      await until(() => of(heard, state.session_id).length === 1)
    } finally {
      clearInterval(publishing)
      await managers.close()
      await old.stop()
      await next.stop()
    }
  })
})
