'use strict'

const fs = require('node:fs')
const path = require('node:path')
const {
  ClosedError,
  DBWriteQueue,
  InvalidStateError,
  RedisStateManager,
  createRedisClient,
} = require('../index.js')
const { ofIoredis } = require('../lib/client/ioredisInstance.js')
const { Managers } = require('./harness/managers.js')
const { RedisServer, freePort } = require('./harness/redis.js')
const { thrownBy } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const certificate = path.join(__dirname, 'harness', 'tls', 'cert.pem')
const key = path.join(__dirname, 'harness', 'tls', 'key.pem')

let server
let tlsPort
let socket
let eyes
const managers = new Managers()
const instances = []

beforeAll(async () => {
  tlsPort = await freePort()
  const args = ['--tls-port', tlsPort, '--tls-cert-file', certificate, '--tls-key-file', key]
  args.push('--tls-auth-clients', 'no')
  server = await RedisServer.start(args)
  socket = path.join(server.directory, 'redis.sock')
  eyes = server.client()
  await eyes.acl('SETUSER', 'alice', 'on', '>p@ss/wörd', '~*', '&*', '+@all')
})

afterAll(() => server.stop())

afterEach(async () => {
  await managers.close()
  for (const end of instances.splice(0)) await end()
  await eyes.flushall()
})

/** Where a test wants an instance to connect to. */
const placeOf = ({ port = server.port, tls, file }) =>
  file ? { path: file } : { host: tls ? 'localhost' : '127.0.0.1', port }

const tlsOf = (options = {}) => ({ ca: fs.readFileSync(certificate), ...options })

/** How each library is told the same things. */
const libraries = [
  ...['ioredis5', 'ioredis'].map((name) => ({
    name,
    endings: ['quit', 'disconnect'],
    hasKeyPrefix: true,
    make({ port, user, pass, db, prefix, tls, file, ...more } = {}) {
      const { Redis } = require(name)
      const instance = new Redis({
        ...placeOf({ port, tls, file }),
        username: user,
        password: pass,
        db,
        keyPrefix: prefix,
        tls,
        disconnectTimeout: 100, // Its timer would outlive the tests.
        ...more,
      })
      instance.on('error', () => {})
      instances.push(() => instance.disconnect())
      return instance
    },
    connected: (instance) => until(() => instance.status === 'ready', 5000),
    isEnded: (instance) => instance.status === 'end',
  })),
  ...['redis4', 'redis5', 'redis6'].map((name) => ({
    name,
    endings: ['quit', 'disconnect', ...(name === 'redis4' ? [] : ['close', 'destroy'])],
    hasKeyPrefix: name === 'redis6',
    make({ port, user, pass, db, prefix, tls, file, ...more } = {}) {
      const { createClient } = require(name)
      const instance = createClient({
        socket: { ...placeOf({ port, tls, file }), ...(tls && { tls: true, ...tls }) },
        username: user,
        password: pass,
        database: db,
        ...(prefix && { keyPrefix: prefix }),
        ...more,
      })
      instance.on('error', () => {})
      const connecting = instance.connect().catch(() => {})
      instances.push(async () => {
        await connecting
        if (instance.isOpen) await (instance.destroy ?? instance.disconnect).call(instance)
      })
      return instance
    },
    connected: (instance) => until(() => instance.isReady, 5000),
    isEnded: (instance) => !instance.isOpen,
  })),
]

const open = (...args) => managers.keep(new RedisStateManager(...args))

describe.each(libraries)('an instance of $name', (library) => {
  const { make, connected, isEnded, endings, hasKeyPrefix } = library

  it('says where the sessions are, and stays usable', async () => {
    const instance = make()
    const manager = open(instance)
    await manager.createSession(makeState({ session_id: 'a' }))
    expect(JSON.parse(await instance.get('session:a')).version).toBe(1)
    expect(await instance.ping()).toBe('PONG')
  })

  it('may be one for commands, and another for subscriptions', async () => {
    const manager = open(make(), make())
    const heard = []
    manager.subscribeToUpdates((sessionId) => heard.push(sessionId))
    await manager.subscribed()
    await manager.createSession(makeState({ session_id: 'a' }))
    await until(() => heard.length === 1, 5000)
  })

  it('names the database', async () => {
    await open(make({ db: 3 })).createSession(makeState({ session_id: 'a' }))
    expect(await eyes.exists('session:a')).toBe(0)
    const there = server.client({ db: 3 })
    expect(await there.exists('session:a')).toBe(1)
  })

  it('names the user, whose password is told as it is', async () => {
    const manager = open(make({ user: 'alice', pass: 'p@ss/wörd' }))
    await manager.createSession(makeState({ session_id: 'a' }))
    const users = (await eyes.client('LIST')).match(/user=alice/g)
    expect(users.length).toBeGreaterThan(0)
  })

  if (hasKeyPrefix) {
    it('has a key prefix, which comes before ours', async () => {
      const instance = make({ prefix: 'app:' })
      const manager = open(instance, null, null, 'game:')
      await manager.createSession(makeState({ session_id: 'a' }))
      expect(await eyes.exists('app:game:a')).toBe(1)
      expect(await instance.exists('game:a')).toBe(1)
      expect(await manager.getSession('a')).toMatchObject({ version: 1 })
    })
  }

  it('speaks TLS, with authorities of its own', async () => {
    const manager = open(make({ port: tlsPort, tls: tlsOf() }))
    await manager.createSession(makeState({ session_id: 'a' }))
    expect(await eyes.exists('session:a')).toBe(1)
  })

  it('verifies the certificate where that is not turned off', async () => {
    const trusting = open(make({ port: tlsPort, tls: { rejectUnauthorized: false } }))
    await trusting.createSession(makeState({ session_id: 'a' }))
    const wary = open(make({ port: tlsPort, tls: {} }), null, null, { commandTimeoutMs: 500 })
    await expect(wary.getSession('a')).rejects.toThrow(/certificate/)
  })

  it('may be on a Unix socket', async () => {
    const here = await RedisServer.start(['--unixsocket', socket])
    try {
      const manager = open(make({ file: socket }))
      await manager.createSession(makeState({ session_id: 'a' }))
      expect(await here.client().exists('session:a')).toBe(1)
      await managers.close()
    } finally {
      await here.stop()
    }
  })

  it('is closed with the manager', async () => {
    const [instance, pubSub] = [make(), make()]
    await connected(instance)
    const manager = open(instance, pubSub)
    await manager.createSession(makeState({ session_id: 'a' }))
    await manager.close()
    await until(() => isEnded(instance) && isEnded(pubSub), 5000)
  })

  it('is closed with the manager within its time, also where Redis does not answer', async () => {
    const instance = make()
    await connected(instance)
    const manager = open(instance)
    await manager.getSession('a')
    server.pause()
    try {
      const before = performance.now()
      await manager.close()
      expect(performance.now() - before).toBeLessThan(2500)
    } finally {
      server.resume()
    }
    await until(() => isEnded(instance), 5000)
  })

  it.each(endings)('that its owner ends by %s() takes our connection along', async (ending) => {
    const instance = make()
    await connected(instance)
    const manager = open(instance)
    expect(await manager.getSession('a')).toBe(null)
    await instance[ending]()
    await expect(manager.getSession('a')).rejects.toThrow(ClosedError)
    await expect(manager.createSession(makeState())).rejects.toThrow(ClosedError)
  })

  it('is the same connection for all its managers', async () => {
    const instance = make()
    await connected(instance)
    const before = (await eyes.client('LIST')).split('\n').length
    for (const manager of [open(instance), open(instance), open(instance)]) {
      await manager.getSession('a')
    }
    const after = (await eyes.client('LIST')).split('\n').length
    expect(after - before).toBe(1)
  })

  it('that was ended and is connected again serves the managers that are made then', async () => {
    const instance = make()
    await connected(instance)
    const before = open(instance)
    expect(await before.getSession('a')).toBe(null)
    await instance.disconnect()
    await until(() => isEnded(instance), 5000)
    await instance.connect()
    expect(await open(instance).getSession('a')).toBe(null)
    await expect(before.getSession('a')).rejects.toThrow(ClosedError)
  })

  it('may say where a queue is, which leaves it to its owner', async () => {
    const instance = make()
    const queue = new DBWriteQueue(instance, { worker: false })
    await queue.queueWrite('a', makeState({ session_id: 'a' }), 'session_started')
    expect(await queue.getMetrics()).toMatchObject({ waiting: 1 })
    await queue.close()
    expect(await instance.ping()).toBe('PONG')
    expect(await open(instance).getSession('a')).toBe(null)
  })

  it('is refused with the name of a setting that cannot be honoured', async () => {
    const tls = tlsOf({ checkServerIdentity: () => undefined })
    const instance = make({ port: tlsPort, tls, lazyConnect: true })
    const error = thrownBy(() => new RedisStateManager(instance))
    expect(error).toBeInstanceOf(InvalidStateError)
    expect(error.field).toBe('redis.tls.checkServerIdentity')
    expect(thrownBy(() => new RedisStateManager(server.url, instance)).field).toBe(error.field)
  })
})

test.each([
  ['a client that was made up for a test', { get() {}, setex() {}, on() {} }],
  ['undefined', undefined],
  ['null', null],
  ['a number', 6379],
])('%s is refused in words that say what is expected', (_name, given) => {
  const error = thrownBy(() => new RedisStateManager(given))
  expect(error).toBeInstanceOf(InvalidStateError)
  expect(error.message).toMatch(/^Invalid redis: expected a URL .*memory:/)
})

test('a queue in the place of a server is refused in words that say where it belongs', async () => {
  const queue = new DBWriteQueue('memory:', { worker: false })
  const error = thrownBy(() => new RedisStateManager('memory:', queue))
  await queue.close()
  expect(error).toBeInstanceOf(InvalidStateError)
  expect(error.message).toBe(
    'Invalid pubSub: it is a queue: pass it as the third argument of RedisStateManager',
  )
})

describe('an instance of ioredis', () => {
  const { make, connected } = libraries[0]

  it('that has given up on Redis, as services configure it, does not take us along', async () => {
    const own = await RedisServer.start()
    try {
      const retryStrategy = (times) => (times > 3 ? null : times * 10)
      const instance = make({ port: own.port, retryStrategy, maxRetriesPerRequest: 1 })
      await connected(instance)
      const manager = open(instance)
      await manager.createSession(makeState({ session_id: 'a' }))
      await own.kill()
      await until(() => instance.status === 'end', 5000)
      await own.up()
      await manager.createSession(makeState({ session_id: 'b' }))
      expect(await manager.getSession('b')).toMatchObject({ version: 1 })
      await managers.close()
    } finally {
      await own.stop()
    }
  })

  it('may select another database between two managers', async () => {
    const instance = make()
    await connected(instance)
    await open(instance).createSession(makeState({ session_id: 'a' }))
    await instance.select(6)
    await open(instance).createSession(makeState({ session_id: 'b' }))
    expect(await instance.exists('session:a', 'session:b')).toBe(1)
    await instance.select(0)
    expect(await instance.exists('session:a', 'session:b')).toBe(1)
  })

  it('that is being connected carries out what its owner has called before it is closed', async () => {
    const instance = make()
    const manager = open(instance)
    const called = instance.set('mine', 'kept')
    await manager.close()
    expect(await called).toBe('OK')
    expect(await eyes.get('mine')).toBe('kept')
  })

  it('that reconnects at its own wish does not take us along', async () => {
    const instance = make()
    await connected(instance)
    const manager = open(instance)
    expect(await manager.getSession('a')).toBe(null)
    instance.disconnect(true)
    expect(await manager.getSession('a')).toBe(null)
  })

  it('is in the database that its owner has selected', async () => {
    const instance = make()
    await connected(instance)
    await instance.select(5)
    await open(instance).createSession(makeState({ session_id: 'a' }))
    expect(await instance.exists('session:a')).toBe(1)
  })

  it('need not have connected yet', async () => {
    const instance = make({ lazyConnect: true, enableReadyCheck: false })
    const manager = open(instance)
    await manager.createSession(makeState({ session_id: 'a' }))
    expect(instance.status).toBe('wait')
    await manager.close()
    await until(() => instance.status === 'end', 5000)
  })

  it.each([
    [
      'a cluster that is looked up by SRV records',
      'useSRVRecords',
      ({ Cluster }) => new Cluster(['h'], { lazyConnect: true, useSRVRecords: true }),
    ],
    ['a replica that sentinels name', 'role', ({ Redis }) => ofSentinels(Redis, { role: 'slave' })],
    ['a function in natMap', 'natMap', ({ Redis }) => ofSentinels(Redis, { natMap: () => null })],
  ])('is refused for %s', (_what, setting, build) => {
    for (const library of ['ioredis5', 'ioredis']) {
      const error = thrownBy(() => new RedisStateManager(build(require(library))))
      expect(error.field).toBe(`redis.${setting}`)
    }
  })

  it('speaks TLS to the master and the sentinels where it says so of each', () => {
    const { Redis } = require('ioredis')
    const tlsOfBoth = (more) => {
      const { tls, sentinelTLS } = ofIoredis(ofSentinels(Redis, { tls: tlsOf(), ...more }))
      return [tls !== undefined, sentinelTLS !== undefined]
    }
    expect(tlsOfBoth({})).toEqual([false, false])
    expect(tlsOfBoth({ enableTLSForSentinelMode: true })).toEqual([true, false])
    expect(tlsOfBoth({ sentinelTLS: tlsOf() })).toEqual([false, true])
  })
})

function ofSentinels(Redis, more) {
  return new Redis({ sentinels: [{ host: 'h', port: 1 }], name: 'm', lazyConnect: true, ...more })
}

describe('an instance of node-redis', () => {
  it.each(['redis4', 'redis5', 'redis6'])('%s is refused for a credentials provider', (library) => {
    const { createClient } = require(library)
    const credentialsProvider = {
      type: 'async-credentials-provider',
      credentials: async () => ({ password: 'p' }),
    }
    const provided = createClient({ credentialsProvider })
    expect(thrownBy(() => new RedisStateManager(provided)).field).toBe('redis.credentialsProvider')
  })
})

describe.each(['redis5', 'redis6'])('a pool of %s', (library) => {
  const { createClientPool } = require(library)
  const make = (more) => {
    const pool = createClientPool({ socket: placeOf({}), username: 'alice', ...more })
    pool.on('error', () => {})
    instances.push(() => pool.isOpen && pool.destroy())
    return pool
  }

  it('says where the sessions are once it is connected, stays usable, and is closed', async () => {
    const pool = await make({ password: 'p@ss/wörd', database: 3 }).connect()
    const manager = open(pool)
    await manager.createSession(makeState({ session_id: 'a' }))
    expect(JSON.parse(await pool.get('session:a')).version).toBe(1)
    expect(await server.client({ db: 3 }).exists('session:a')).toBe(1)
    const busy = pool.execute((client) => client.blPop('none', 0.2))
    expect(await open(pool).getSession('a')).toMatchObject({ version: 1 })
    await busy
    await manager.close()
    await pool.destroy()
    await expect(manager.getSession('a')).rejects.toThrow(ClosedError)
  })

  it('is refused before, in words that say what to do', () => {
    const error = thrownBy(() => new RedisStateManager(make()))
    expect(error.field).toBe('redis.pool')
    expect(error.message).toContain('connect the pool first')
  })
})

test('sentinels of node-redis 5 are refused in words that say what to do', () => {
  const { createSentinel } = require('redis5')
  const sentinel = createSentinel({ name: 'm', sentinelRootNodes: [{ host: 'h', port: 1 }] })
  const error = thrownBy(() => new RedisStateManager(sentinel))
  expect(error.field).toBe('redis.sentinelRootNodes')
  expect(error.message).toContain('redis-sentinel://')
})

describe('settings', () => {
  it('say the same as a URL', async () => {
    const settings = { host: '127.0.0.1', port: server.port, username: 'alice', db: 2 }
    const manager = open({ ...settings, password: 'p@ss/wörd' })
    await manager.createSession(makeState({ session_id: 'a' }))
    expect(await server.client({ db: 2 }).exists('session:a')).toBe(1)
  })

  it('make a client, too', async () => {
    const client = managers.keep(
      createRedisClient({ host: 'localhost', port: tlsPort, tls: tlsOf() }),
    )
    expect(await client.ping()).toBe('PONG')
    expect(await managers.keep(client.duplicate()).ping()).toBe('PONG')
  })

  it.each([
    [{}, 'redis'],
    [{ hots: 'h' }, 'redis.hots'],
    [{ host: 1 }, 'redis.host'],
    [{ port: 0 }, 'redis.port'],
    [{ port: '6379' }, 'redis.port'],
    [{ db: -1 }, 'redis.db'],
    [{ password: 1 }, 'redis.password'],
    [{ tls: 'yes' }, 'redis.tls'],
    [{ tls: { servername: 'h' } }, 'redis.tls.servername'],
    [{ tls: { ca: 'nonsense' } }, 'redis.tls.ca'],
    [{ tls: { cert: '-----BEGIN CERTIFICATE-----' } }, 'redis.tls.key'],
    [{ tls: { ca: '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----' } }, 'redis'],
  ])('%j are refused by the name of the one at fault', (settings, field) => {
    const error = thrownBy(() => createRedisClient(settings))
    expect(error).toBeInstanceOf(InvalidStateError)
    expect(error.field).toBe(field)
  })

  it.each([42, true, () => {}, Symbol('x')])('%p is none of what says where Redis is', (value) => {
    expect(thrownBy(() => new RedisStateManager(value)).field).toBe('redis')
    expect(thrownBy(() => new DBWriteQueue(value)).field).toBe('redis')
  })
})
