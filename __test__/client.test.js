'use strict'

const { inspect } = require('node:util')
const {
  ClosedError,
  DBWriteQueue,
  InvalidStateError,
  OutcomeUnknownError,
  RedisReplyError,
  RedisStateManager,
  RedisUnavailableError,
  StateError,
  createRedisClient,
  createRedisPubSubClient,
} = require('../index.js')
const { Managers } = require('./harness/managers.js')
const { RedisServer, freePort } = require('./harness/redis.js')
const { refusalOf, thrownBy } = require('./harness/refusal.js')
const { until } = require('./harness/until.js')

let server
let redis
const clients = new Managers()

beforeAll(async () => {
  server = await RedisServer.start()
  redis = server.client()
})

afterAll(async () => {
  await server.stop()
})

afterEach(async () => {
  await clients.close()
  await redis.flushall()
})

const open = (...args) => clients.keep(createRedisClient(...args))

describe('a client', () => {
  it('connects by itself, when it is first used', async () => {
    const client = open(server.url)
    expect(client.status).toBe('wait')
    expect(await client.ping()).toBe('PONG')
    expect(client.status).toBe('ready')
  })

  it('connects when its status is asked for, as a probe does that asks for nothing else', async () => {
    const client = open(server.url)
    expect(client.status).toBe('wait')
    await until(() => client.status === 'ready')
  })

  it('does not connect when its status is only shown', async () => {
    const client = open(server.url, { commandTimeoutMs: 300 })
    const manager = clients.keep(new RedisStateManager(client))
    const queue = clients.keep(new DBWriteQueue(client, { worker: false }))
    for (const one of [client, manager, queue]) expect(inspect(one)).toContain("status: 'wait'")
    await new Promise((resolve) => setTimeout(resolve, 50))
    for (const one of [client, manager, queue]) expect(inspect(one)).toContain("status: 'wait'")
  })

  it('tells of being connected, and of its end', async () => {
    const client = open(server.url)
    const events = []
    for (const event of ['connect', 'ready', 'reconnecting', 'error', 'end']) {
      client.on(event, () => events.push(event))
    }
    await client.ping()
    expect(events).toEqual(['connect', 'ready'])
    expect(await client.quit()).toBe('OK')
    expect(events).toEqual(['connect', 'ready', 'end'])
    expect(client.status).toBe('end')
  })

  it('tells of a lost connection, with the reason, and is ready again by itself', async () => {
    const client = open(server.url)
    const events = []
    await client.ping()
    client.on('error', (error) => events.push(error))
    client.on('reconnecting', () => events.push('reconnecting'))
    client.on('ready', () => events.push('ready'))
    const id = await client.call('CLIENT', 'ID')
    const blocked = refusalOf(() => client.blpop('list', 5))
    await redis.client('KILL', 'ID', id)
    await until(() => events.includes('ready'))
    expect(events[0]).toBeInstanceOf(RedisUnavailableError)
    expect(events[1]).toBe('reconnecting')
    expect(await blocked).toBeInstanceOf(OutcomeUnknownError)
    expect(await client.ping()).toBe('PONG')
  })

  it('tells of no error where the lost connection had nothing to answer', async () => {
    const client = open(server.url)
    const events = []
    const id = await client.call('CLIENT', 'ID')
    for (const event of ['error', 'close', 'reconnecting', 'ready']) {
      client.on(event, () => events.push(event))
    }
    await redis.client('KILL', 'ID', id)
    await until(() => events.includes('ready'))
    expect(events).toEqual(['close', 'reconnecting', 'ready'])
  })

  it('that finds no Redis fails commands at their deadline, and its error needs no listener', async () => {
    const client = open(`redis://127.0.0.1:${await freePort()}`, { commandTimeoutMs: 300 })
    const reconnecting = jest.fn()
    client.on('reconnecting', reconnecting)
    const started = performance.now()
    const error = await refusalOf(() => client.ping())
    expect(error).toBeInstanceOf(RedisUnavailableError)
    expect(error.code).toBe('REDIS_UNAVAILABLE')
    expect(performance.now() - started).toBeGreaterThan(290)
    expect(performance.now() - started).toBeLessThan(1300)
    expect(reconnecting).toHaveBeenCalled()
  })

  it.each([createRedisClient, createRedisPubSubClient])(
    '%p has the URL of REDIS_URL',
    async (make) => {
      const before = process.env.REDIS_URL
      try {
        process.env.REDIS_URL = server.url
        const client = clients.keep(make())
        expect(await client.call('CONFIG', 'GET', 'port')).toEqual(['port', String(server.port)])
      } finally {
        if (before === undefined) delete process.env.REDIS_URL
        else process.env.REDIS_URL = before
      }
    },
  )

  it('uses the database that its URL names', async () => {
    await open(`${server.url}/3`).call('SET', 'k', 'three')
    expect(await redis.get('k')).toBeNull()
    await redis.select(3)
    expect(await redis.get('k')).toBe('three')
    await redis.select(0)
  })

  it('makes a duplicate that lives by itself', async () => {
    const client = open(server.url)
    const other = clients.keep(client.duplicate())
    await client.quit()
    expect(await other.ping()).toBe('PONG')
  })
})

describe('call', () => {
  it('takes strings, numbers and buffers', async () => {
    const client = open(server.url)
    const bytes = Buffer.from([0, 255, 13, 10, 1])
    expect(await client.call('SET', 'bytes', bytes)).toBe('OK')
    expect(await redis.getBuffer('bytes')).toEqual(bytes)
    expect(await client.call('set', 'text', 'ü\r\n"🦊')).toBe('OK')
    expect(await client.call('GET', 'text')).toBe('ü\r\n"🦊')
    expect(await client.call('INCRBY', 'count', 41)).toBe(41)
    expect(await client.call('SET', 'empty', '')).toBe('OK')
    expect(await client.call('GET', 'empty')).toBe('')
  })

  it('gives replies as clients know them: null, integers, nested lists', async () => {
    const client = open(server.url)
    expect(await client.call('GET', 'nothing')).toBeNull()
    expect(await client.call('HSET', 'h', 'a', 1, 'b', 2)).toBe(2)
    expect(await client.call('HGETALL', 'h')).toEqual(['a', '1', 'b', '2'])
    expect(await client.call('LRANGE', 'nothing', 0, -1)).toEqual([])
    const script = "return {1, 'two', {3, {false, 'four'}}, {}}"
    expect(await client.call('EVAL', script, 0)).toEqual([1, 'two', [3, [null, 'four']], []])
    expect(await client.call('ZADD', 'z', 1.5, 'm')).toBe(1)
    expect(await client.call('ZSCORE', 'z', 'm')).toBe('1.5')
  })

  it("rejects with Redis' own words where Redis refuses", async () => {
    const client = open(server.url)
    await redis.set('text', 'x')
    const call = async () => await client.call('LPUSH', 'text', 1)
    const error = await refusalOf(call)
    expect(error).toBeInstanceOf(RedisReplyError)
    expect(error).toBeInstanceOf(StateError)
    expect(error.message).toBe('WRONGTYPE Operation against a key holding the wrong kind of value')
    expect(error.name).toBe('RedisReplyError')
    expect(error.stack).toContain('client.test.js')
    expect((await refusalOf(() => client.call('NOSUCH'))).message).toMatch(/^ERR unknown command/)
    expect(await client.ping()).toBe('PONG')
  })

  it('rejects with an error of a script as Redis words it', async () => {
    const client = open(server.url)
    const error = await refusalOf(() =>
      client.call('EVAL', "return redis.error_reply('MINE x')", 0),
    )
    expect(error).toBeInstanceOf(RedisReplyError)
    expect(error.message).toBe('MINE x')
  })

  it('answers many at once, each its own', async () => {
    const client = open(server.url)
    const answers = await Promise.all(
      Array.from({ length: 500 }, (_, number) => client.call('ECHO', number)),
    )
    expect(answers).toEqual(Array.from({ length: 500 }, (_, number) => String(number)))
  })

  it.each([
    [[]],
    [['']],
    [[undefined]],
    [['SET', 'k', null]],
    [['SET', 'k', {}]],
    [['SET', 'k', true]],
    [['SUBSCRIBE', 'x']],
    [['multi']],
    [['SELECT', 1]],
  ])('refuses what is no command for a shared connection: %j', async (args) => {
    const error = await refusalOf(() => open(server.url).call(...args))
    expect(error).toBeInstanceOf(InvalidStateError)
    expect(error.field).toBe('command')
    expect(await redis.dbsize()).toBe(0)
  })
})

describe.each(['quit', 'disconnect'])('after %s', (end) => {
  it('every call rejects with ClosedError, and the end comes once', async () => {
    const client = createRedisClient(server.url)
    const ended = jest.fn()
    client.on('end', ended)
    await client.ping()
    client[end]()
    for (const call of [() => client.ping(), () => client.call('GET', 'x')]) {
      expect(await refusalOf(call)).toBeInstanceOf(ClosedError)
    }
    await until(() => client.status === 'end')
    client[end]()
    expect(await client.quit()).toBe('OK')
    expect(ended).toHaveBeenCalledTimes(1)
  })

  it('a client that was never used has ended too', async () => {
    const client = createRedisClient(server.url)
    client[end]()
    await until(() => client.status === 'end')
  })
})

it('quit lets what is in flight succeed', async () => {
  const client = createRedisClient(server.url)
  await client.ping()
  const answers = Array.from({ length: 100 }, () => client.call('INCR', 'n'))
  await client.quit()
  expect((await Promise.all(answers)).at(-1)).toBe(100)
})

describe('a URL with a query, as ioredis reads it', () => {
  it('says which database', async () => {
    const client = open(`${server.url}?db=4&family=0`)
    await client.call('SET', 'k', 'four')
    expect(await open(`${server.url}/4?db=5`).call('GET', 'k')).toBe('four')
  })

  it('is refused for what it cannot set here, by name', () => {
    const error = thrownBy(() => open(`${server.url}?keyPrefix=app:`))
    expect(error).toMatchObject({ code: 'INVALID_STATE', field: 'url' })
    expect(error.message).toContain('keyPrefix')
  })
})
