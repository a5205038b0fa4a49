'use strict'

const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const tls = require('node:tls')
const { inspect } = require('node:util')
const { RedisStateManager, DBWriteQueue, createRedisClient } = require('../index.js')
const { blocksOf, commandsOf } = require('./harness/documentation.js')
const { Managers } = require('./harness/managers.js')
const { TcpProxy } = require('./harness/proxy.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { refusalOf } = require('./harness/refusal.js')
const { SentinelGroup } = require('./harness/sentinel.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const PASSWORD = 'p@ss/wörd'
const SENTINEL_PASSWORD = 's€cret'

let group
let login
const managers = new Managers()
const instances = []

beforeAll(async () => {
  group = await SentinelGroup.start({ password: PASSWORD, sentinelPassword: SENTINEL_PASSWORD })
  login = `sentinelPassword=${encodeURIComponent(SENTINEL_PASSWORD)}`
}, 60_000)

afterAll(() => group.stop())

afterEach(async () => {
  await managers.close()
  for (const end of instances.splice(0)) await end()
  await (await group.master()).client().flushall()
})

const url = (database = '') => `${group.url}${database}?${login}`

/** What ioredis takes, and so do we. */
const settings = (more = {}) => ({
  sentinels: group.sentinels.map(({ host, port }) => ({ host, port })),
  name: group.name,
  password: PASSWORD,
  sentinelPassword: SENTINEL_PASSWORD,
  ...more,
})

const open = (...args) => managers.keep(new RedisStateManager(...args))
const connect = (...args) => managers.keep(createRedisClient(...args))

/** Whether the master's database has the session. */
async function has(sessionId, db = 0) {
  const master = await group.master()
  return (await master.client({ db }).exists(`session:${sessionId}`)) === 1
}

function ofIoredis(library, more) {
  const { Redis } = require(library)
  const instance = new Redis(settings({ lazyConnect: true, ...more }))
  instance.on('error', () => {})
  instances.push(() => instance.disconnect())
  return instance
}

function ofNodeRedis(more) {
  const { createSentinel } = require('redis6')
  const instance = createSentinel({
    name: group.name,
    sentinelRootNodes: settings().sentinels,
    nodeClientOptions: { password: PASSWORD, ...more },
    sentinelClientOptions: { password: SENTINEL_PASSWORD },
  })
  instance.on('error', () => {})
  instances.push(() => instance.isOpen && instance.destroy())
  return instance
}

describe('who names sentinels talks to the master', () => {
  test.each([
    ['by a URL', () => url(), 0],
    ['by a URL with a database', () => url('/3'), 3],
    ['by settings', () => settings(), 0],
    ['by settings with a database', () => settings({ db: 2 }), 2],
    ['by an instance of ioredis 5', () => ofIoredis('ioredis5', { db: 1 }), 1],
    ['by an instance of ioredis 6', () => ofIoredis('ioredis', { db: 1 }), 1],
    ['by an instance of node-redis', () => ofNodeRedis({ database: 4 }), 4],
  ])('%s', async (_how, server, db) => {
    const manager = open(server())
    await manager.createSession(makeState({ session_id: 'a' }))
    expect(await manager.getSession('a')).toMatchObject({ version: 1 })
    expect(await has('a', db)).toBe(true)
  })

  test('for subscriptions and commands as well', async () => {
    const [client, pubSub] = [connect(url()), connect(settings())]
    const heard = []
    pubSub.on('message', (_channel, text) => heard.push(text))
    await pubSub.subscribe('news')
    await client.publish('news', 'hello')
    await until(() => heard.length === 1)
    await client.set('color', 'red')
    expect(await (await group.master()).client().get('color')).toBe('red')
  })

  test('with an address for the one that sentinels announce', async () => {
    const proxies = []
    const natMap = {}
    for (const { host, port } of [...group.servers, ...group.sentinels]) {
      const proxy = await TcpProxy.start(port)
      proxies.push(proxy)
      natMap[`${host}:${port}`] = { host: 'localhost', port: proxy.port }
    }
    try {
      const client = connect(settings({ natMap }))
      await client.set('a', 1)
      const master = group.servers.indexOf(await group.master())
      expect(proxies[master].connections).toBeGreaterThan(0)
      expect(proxies.filter((proxy, at) => at !== master && at < 3 && proxy.connections)).toEqual(
        [],
      )
      await client.quit()
    } finally {
      await Promise.all(proxies.map((proxy) => proxy.stop()))
    }
  })
})

describe('with TLS', () => {
  const ca = fs.readFileSync(path.join(__dirname, 'harness', 'tls', 'cert.pem'))
  const key = fs.readFileSync(path.join(__dirname, 'harness', 'tls', 'key.pem'))
  const sockets = new Set()
  const proxies = []
  let natMap

  /** Takes TLS off what goes to that port. */
  async function startProxy(port) {
    const server = tls.createServer({ cert: ca, key }, (near) => {
      const far = net.connect(port, '127.0.0.1')
      for (const socket of [near, far]) sockets.add(socket.on('error', () => near.destroy()))
      near.pipe(far).pipe(near)
    })
    server.on('tlsClientError', () => {})
    proxies.push(server)
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { host: 'localhost', port: server.address().port }
  }

  beforeAll(async () => {
    natMap = {}
    for (const { host, port } of [...group.servers, ...group.sentinels]) {
      natMap[`${host}:${port}`] = await startProxy(port)
    }
  })

  afterAll(() => {
    for (const socket of sockets) socket.destroy()
    for (const proxy of proxies) proxy.close()
  })

  test('to the sentinels and the master', async () => {
    const client = connect(settings({ natMap, tls: { ca }, sentinelTLS: { ca } }))
    await client.set('a', 1)
    expect(await (await group.master()).client().get('a')).toBe('1')
    const other = managers.keep(client.duplicate({ db: 1 }))
    expect(await other.ping()).toBe('PONG')
  })

  test.each([
    ['the sentinels', { tls: { ca: String(ca) }, sentinelTLS: true }],
    ['the master', { tls: true, sentinelTLS: { ca: String(ca) } }],
  ])('verifies the certificate of %s', async (_whose, trust) => {
    const client = connect(settings({ natMap, ...trust }), { commandTimeoutMs: 500 })
    client.on('error', () => {})
    expect((await refusalOf(() => client.ping())).message).toMatch(/certificate/)
  })

  test('is for both where the URL says so', () => {
    const client = connect('rediss-sentinel://h/m')
    expect(client.options).toMatchObject({ tls: true, sentinelTLS: true })
  })
})

describe('a client of sentinels', () => {
  test('has a duplicate with the same sentinels, and may select a database', async () => {
    for (const server of [url(), settings()]) {
      const client = connect(server)
      const other = managers.keep(client.duplicate({ db: 5, username: 'default' }))
      await other.set('a', 5)
      await client.select(5)
      expect(await client.get('a')).toBe('5')
    }
  })

  test('tells its settings, and shows no password', () => {
    const client = connect(url('/1'))
    const { options } = client
    expect(options).toMatchObject({ ...settings(), db: 1, sentinelTLS: false })
    expect(options.password).toBe(PASSWORD)
    expect(options.sentinelPassword).toBe(SENTINEL_PASSWORD)
    const shown = `${JSON.stringify(options)}${inspect([client, options])}`
    expect(shown).not.toContain(PASSWORD)
    expect(shown).not.toContain(SENTINEL_PASSWORD)
  })

  test('is at one place with the queue that names another sentinel of the group, too', async () => {
    const [first, second, third] = settings().sentinels
    const queue = new DBWriteQueue(settings({ sentinels: [first, second] }), { worker: false })
    managers.keep(queue)
    const logger = recordingLogger()
    const place = settings({ sentinels: [second, third] })
    const manager = open(place, null, queue, { logger })
    expect(logger.told.warn).toEqual([])
    await manager.createSession(makeState({ session_id: 'a' }))
    expect(await queue.getMetrics()).toMatchObject({ waiting: 1 })
  })

  test('needs the documented permissions of the sentinels and no more', async () => {
    const [rights] = blocksOf('docs/operations.md')
      .filter(({ language }) => language === 'sh')
      .flatMap(commandsOf)
      .filter((command) => command.includes('+sentinel|'))
      .map((command) => command.match(/[~&+][^\s']+/g))
    for (const sentinel of group.sentinels) {
      await sentinel.client().call('ACL', 'SETUSER', 'least', 'reset', 'on', '>secret', ...rights)
    }
    const client = connect(settings({ sentinelUsername: 'least', sentinelPassword: 'secret' }))
    expect(await client.ping()).toBe('PONG')
    await until(async () => {
      const lists = group.sentinels.map((one) => one.client().client('LIST'))
      return (await Promise.all(lists)).some((list) => /sub=3 .*user=least/.test(list))
    })
    const logs = group.sentinels.map((one) => one.client().call('ACL', 'LOG'))
    const denied = (await Promise.all(logs)).flat().filter((entry) => entry.includes('least'))
    expect(denied).toEqual([])
  })

  test('leaves no connection behind', async () => {
    const count = async () => {
      const all = [...group.sentinels, ...group.servers]
      const lists = await Promise.all(all.map((one) => one.client().client('LIST')))
      return lists.join('').match(/name=synckairos/g)?.length ?? 0
    }
    await until(async () => (await count()) === 0)
    const client = createRedisClient(url())
    await client.set('a', 1)
    await until(async () => (await count()) > 1)
    await client.quit()
    await until(async () => (await count()) === 0)
  })
})
