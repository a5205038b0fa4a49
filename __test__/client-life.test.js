'use strict'

const { inspect } = require('node:util')
const {
  DBWriteQueue,
  InvalidStateError,
  RedisClient,
  RedisStateManager,
  RedisUnavailableError,
  createRedisClient,
} = require('../index.js')
const { Managers } = require('./harness/managers.js')
const { RedisServer, freePort } = require('./harness/redis.js')
const { refusalOf } = require('./harness/refusal.js')
const { sleep, until } = require('./harness/until.js')

let server
let redis
const clients = new Managers()

beforeAll(async () => {
  server = await RedisServer.start()
  redis = server.client()
})

afterAll(() => server.stop())

afterEach(async () => {
  await clients.close()
  await redis.select(0)
  await redis.flushall()
})

const open = (...args) => clients.keep(createRedisClient(...args))

describe('a client connects', () => {
  it.each(['connect', 'ready'])('for who waits for %s', async (event) => {
    const client = open(server.url)
    await new Promise((resolve) => client.once(event, resolve))
    expect(client.status).toBe('ready')
  })

  it('when told to, and again without effect', async () => {
    const client = open(server.url)
    await client.connect()
    expect(client.status).toBe('ready')
    await client.connect()
  })

  it('for a listener that comes before Redis', async () => {
    const port = await freePort()
    const client = open(`redis://127.0.0.1:${port}`, { commandTimeoutMs: 200 })
    const ready = new Promise((resolve) => client.once('ready', resolve))
    await new Promise((resolve) => client.once('error', resolve))
    const late = new RedisServer(port, server.directory, [])
    try {
      await late.up()
      await ready
    } finally {
      await late.kill()
    }
  })
})

describe('status and events', () => {
  it('are not those of an end where ioredis would reconnect: disconnect(true)', async () => {
    const client = open(server.url)
    await client.set('a', 1)
    client.disconnect(true)
    expect(await client.get('a')).toBe('1')
    expect(client.status).toBe('ready')
  })

  it('are those of ioredis, from the first command to the end', async () => {
    const client = open(server.url)
    const events = []
    for (const event of ['connect', 'ready', 'close', 'reconnecting', 'error', 'end']) {
      client.on(event, () => events.push(event))
    }
    await client.get('x')
    expect(client.status).toBe('ready')
    await client.quit()
    expect(client.status).toBe('end')
    expect(events).toEqual(['connect', 'ready', 'close', 'end'])
  })

  it('say ready only where none of the connections that are used is lost', async () => {
    const client = open(server.url)
    await client.ping()
    await client.get('x')
    await client.subscribe('c')
    const events = []
    for (const event of ['ready', 'close', 'reconnecting'])
      client.on(event, () => events.push(event))
    await server.kill()
    await until(() => client.status === 'reconnecting')
    await server.up()
    await until(() => client.status === 'ready')
    expect(events.filter((event) => event === 'close')).toHaveLength(1)
    expect(events.at(-1)).toBe('ready')
    expect(events.filter((event) => event === 'ready')).toHaveLength(1)
  })

  it('a command that blocks holds up no session', async () => {
    const client = open(server.url)
    const manager = clients.keep(new RedisStateManager(client))
    const blocked = client.blpop('list', 1)
    const started = performance.now()
    expect(await manager.getSession('none')).toBeNull()
    expect(performance.now() - started).toBeLessThan(900)
    expect(await blocked).toBeNull()
  })
})

describe('a command that blocks', () => {
  it.each([
    ['blpop', ['list', 3]],
    ['xread', ['BLOCK', 3000, 'STREAMS', 'stream', '$']],
  ])('%s may take the time that it asks for, whatever others may', async (method, args) => {
    const client = open(server.url, { commandTimeoutMs: 500 })
    await client.ping()
    const lost = jest.fn()
    client.on('reconnecting', lost)
    const started = performance.now()
    expect(await client[method](...args)).toBeNull()
    expect(performance.now() - started).toBeGreaterThan(2900)
    expect(lost).not.toHaveBeenCalled()
  })

  it('for ever gets what comes, after a while, too', async () => {
    const client = open(server.url, { commandTimeoutMs: 500 })
    const popped = client.brpop('list', 0)
    await sleep(2500) // Longer than a server may otherwise be silent.
    await redis.lpush('list', 'x')
    expect(await popped).toEqual(['list', 'x'])
  })
})

describe('options', () => {
  it('say where the server is, and show no password', async () => {
    const client = open('rediss://user:hunter2@example.com:6380/3', { commandTimeoutMs: 700 })
    expect(client.options).toMatchObject({
      host: 'example.com',
      port: 6380,
      db: 3,
      username: 'user',
      password: 'hunter2',
      tls: true,
      commandTimeoutMs: 700,
    })
    expect(inspect(client.options)).not.toContain('hunter2')
    expect(JSON.stringify(client.options)).not.toContain('hunter2')
    expect({ ...client.options }).not.toHaveProperty('password')
  })

  it('of a Unix socket', () => {
    expect(open({ path: '/run/redis.sock' }).options).toMatchObject({
      path: '/run/redis.sock',
      db: 0,
    })
  })
})

describe('duplicate', () => {
  it('makes another client of the same server, and options', async () => {
    const client = open(`${server.url}/2`, { commandTimeoutMs: 1234 })
    const other = clients.keep(client.duplicate())
    expect(other).toBeInstanceOf(RedisClient)
    expect(other.options).toEqual(client.options)
    await other.set('k', 'two')
    expect(await client.get('k')).toBe('two')
  })

  it('takes a database, settings and options of its own', async () => {
    const client = open(`${server.url}/2`)
    const other = clients.keep(client.duplicate({ db: 3, commandTimeoutMs: 99 }))
    expect(other.options).toMatchObject({ db: 3, port: server.port, commandTimeoutMs: 99 })
    await other.set('k', 'three')
    expect(await client.get('k')).toBeNull()
    expect(clients.keep(client.duplicate({ host: 'localhost' })).options).toMatchObject({
      host: 'localhost',
      port: server.port,
      db: 2,
    })
    for (const wrong of [{ hots: 'localhost' }, { db: -1 }, { db: 'x' }, { maxInFlight: 0 }]) {
      expect(() => client.duplicate(wrong)).toThrow(InvalidStateError)
    }
  })

  it('is of the database that was selected', async () => {
    const client = open(server.url)
    await client.select(4)
    const other = clients.keep(client.duplicate())
    expect(other.options.db).toBe(4)
  })
})

describe('select', () => {
  it('right after making a client counts for all that follows', async () => {
    const client = open(server.url)
    client.select(1)
    await client.set('k', 'one')
    expect(client.options.db).toBe(1)
    expect(await redis.dbsize()).toBe(0)
    await redis.select(1)
    expect(await redis.get('k')).toBe('one')
  })

  it('after commands leaves theirs where they were', async () => {
    const client = open(server.url)
    const before = client.set('k', 'zero')
    expect(await client.select('5')).toBe('OK')
    expect(await before).toBe('OK')
    expect(await client.get('k')).toBeNull()
    expect(await redis.get('k')).toBe('zero')
    expect(await client.select(0)).toBe('OK')
    expect(await client.get('k')).toBe('zero')
  })

  it('counts after a reconnection, and for managers that are made after it', async () => {
    const client = open(server.url)
    await client.select(6)
    const manager = clients.keep(new RedisStateManager(client))
    const ready = new Promise((resolve) => client.once('ready', resolve))
    await redis.client('KILL', 'ID', await client.client('ID'))
    await ready
    await client.set('k', 'six')
    await manager.broadcastToSession('a', 1)
    await manager.createSession({
      session_id: 's',
      participants: [],
      status: 'pending',
      sync_mode: 'global',
    })
    await redis.select(6)
    expect((await redis.keys('*')).filter((key) => !key.startsWith('synckairos:')).sort()).toEqual([
      'k',
      'session:s',
    ])
  })

  it('is refused while a manager or a queue uses the client, and says what to do', async () => {
    for (const use of [
      (client) => new RedisStateManager(client),
      (client) => new DBWriteQueue(client, { worker: false }),
    ]) {
      const client = open(server.url)
      clients.keep(use(client))
      const error = await refusalOf(() => client.select(1))
      expect(error).toBeInstanceOf(InvalidStateError)
      expect(error.message).toContain('duplicate({ db: 1 })')
      expect(await client.select(0)).toBe('OK')
    }
  })

  it('refuses what is no database, and says of one that is not there that it is not', async () => {
    const client = open(server.url, { commandTimeoutMs: 300 })
    for (const db of [-1, 1.5, 'x', undefined]) {
      expect(await refusalOf(() => client.select(db))).toBeInstanceOf(InvalidStateError)
    }
    const error = await refusalOf(() => client.select(99))
    expect(error).toBeInstanceOf(RedisUnavailableError)
    expect(error.message).toContain('DB index is out of range')
  })
})

describe('defineCommand', () => {
  it('makes a method of a script, for a client and its pipelines', async () => {
    const client = open(server.url)
    client.defineCommand('both', { numberOfKeys: 1, lua: 'return {KEYS[1], ARGV[1]}' })
    client.defineCommand('any', { lua: 'return #KEYS' })
    expect(await client.both('k', 'v')).toEqual(['k', 'v'])
    expect(await client.bothBuffer('k', 'v')).toEqual([Buffer.from('k'), Buffer.from('v')])
    expect(await client.any(2, 'a', 'b')).toBe(2)
    await redis.script('FLUSH')
    expect(await client.both('k', 'v')).toEqual(['k', 'v'])
    await redis.script('FLUSH')
    expect(await client.multi().both('k', 'v').any(0).exec()).toEqual([
      [null, ['k', 'v']],
      [null, 0],
    ])
    expect(await client.pipeline().bothBuffer('k', 'v').exec()).toEqual([
      [null, [Buffer.from('k'), Buffer.from('v')]],
    ])
  })
})

it.each([
  ['scanStream', [{ match: 'k*', count: 10 }], 200],
  ['hscanStream', ['h'], 400],
  ['sscanStream', ['s', { count: 10 }], 200],
  ['zscanBufferStream', ['z'], 400],
])('%s streams what is found', async (method, args, count) => {
  const client = open(server.url)
  const filling = client.pipeline()
  for (let number = 0; number < 200; number++) {
    filling.set(`k${number}`, 1).hset('h', number, 1).sadd('s', `m${number}`).zadd('z', 1, number)
  }
  await filling.exec()
  const found = []
  for await (const some of client[method](...args)) found.push(...some)
  expect(found).toHaveLength(count)
  expect(Buffer.isBuffer(found[0])).toBe(method.includes('Buffer'))
})
