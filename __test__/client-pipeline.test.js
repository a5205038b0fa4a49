'use strict'

const {
  ClosedError,
  InvalidStateError,
  OutcomeUnknownError,
  RedisReplyError,
  RedisUnavailableError,
  createRedisClient,
} = require('../index.js')
const { Managers } = require('./harness/managers.js')
const { TcpProxy } = require('./harness/proxy.js')
const { RedisServer } = require('./harness/redis.js')
const { refusalOf, thrownBy } = require('./harness/refusal.js')
const { until } = require('./harness/until.js')

let server
let ioredis
let ours
const clients = new Managers()

beforeAll(async () => {
  server = await RedisServer.start()
  ioredis = server.client()
  ours = clients.keep(createRedisClient(server.url))
})

afterAll(async () => {
  await clients.close()
  await server.stop()
})

/** What `use` comes to with each library, on an empty database. */
async function both(use) {
  const all = []
  for (const client of [ioredis, ours]) {
    await ioredis.flushall()
    const outcome = await use(client).catch((error) => error)
    all.push(withoutClasses(outcome))
  }
  return all
}

function withoutClasses(value) {
  if (value instanceof Error) {
    return { message: value.message, previous: value.previousErrors?.map(withoutClasses) }
  }
  return Array.isArray(value) ? value.map(withoutClasses) : value
}

const BYTES = Buffer.from([0, 255, 13, 10])

describe.each(['pipeline', 'multi'])('%s() comes to what it does with ioredis', (make) => {
  it.each([
    ['results in order', (p) => p.set('a', 1).incr('a').get('a').get('none')],
    ['an error in its place', (p) => p.set('a', 'x').incr('a').get('a')],
    ['nothing', (p) => p],
    [
      'shapes',
      (p) =>
        p
          .hset('h', { a: 1 })
          .hgetall('h')
          .mset(new Map([['x', 1]]))
          .zadd('z', 1, 'm')
          .zrange('z', 0, -1, 'WITHSCORES'),
    ],
    [
      'buffers',
      (p) => p.set('a', BYTES).getBuffer('a').hset('h', 'f', BYTES).hgetallBuffer('h').get('h'),
    ],
    ['call()', (p) => p.call('SET', 'a', 1).call('GET', 'a')],
    ['lists', (p) => p.rpush('l', [1, 2, 3]).lrange('l', 0, -1).lpop('none')],
    ['a command that cannot be queued', (p) => p.set('a', 1).set('b').get('a')],
  ])('%s', async (_name, fill) => {
    const [expected, got] = await both((client) => fill(client[make]()).exec())
    expect(got).toStrictEqual(expected)
  })

  it('given as a list', async () => {
    const list = [
      ['set', 'a', '1'],
      ['get', 'a'],
      ['mget', ['a', 'b']],
    ]
    const [expected, got] = await both((client) => client[make](list).exec())
    expect(got).toStrictEqual(expected)
  })

  it('with callbacks', async () => {
    const use = (client) =>
      new Promise((resolve) => {
        const told = []
        client[make]()
          .set('a', 'x', (...args) => told.push(args))
          .exec((...args) => resolve([told, ...args]))
      })
    const [, got] = await both(use)
    expect(got[1]).toBeNull()
    expect(got[2]).toStrictEqual([[null, 'OK']])
  })

  it('has a length, and sends nothing before exec()', async () => {
    await ioredis.flushall()
    const commands = ours[make]().set('a', 1).set('b', 2)
    expect(commands.length).toBe(2)
    expect(await ours.dbsize()).toBe(0)
    const executed = commands.exec()
    expect(commands.exec()).toBe(executed)
    expect(await executed).toEqual([
      [null, 'OK'],
      [null, 'OK'],
    ])
    expect(thrownBy(() => commands.set('c', 3))).toBeInstanceOf(InvalidStateError)
  })

  it('many commands, while others are called', async () => {
    await ioredis.flushall()
    const commands = ours[make]()
    for (let number = 0; number < 20_000; number++) commands.incr('n')
    const [results, alone] = await Promise.all([commands.exec(), ours.incr('other')])
    expect(results).toHaveLength(20_000)
    expect(results.at(-1)).toEqual([null, 20_000])
    expect(alone).toBe(1)
  })

  it('what would change the connection is refused, and nothing is sent', async () => {
    await ioredis.flushall()
    const error = await refusalOf(() => ours[make]().set('a', 1).select(1).exec())
    expect(error).toBeInstanceOf(InvalidStateError)
    expect(error.message).toContain('select()')
    expect(await ours.exists('a')).toBe(0)
  })
})

describe('where the connection is lost', () => {
  let proxy
  let client

  beforeEach(async () => {
    await ioredis.flushall()
    proxy = await TcpProxy.start(server.port)
    client = createRedisClient(proxy.url)
    await client.get('n')
  })

  afterEach(async () => {
    await client.quit()
    await proxy.stop()
  })

  /** Loses the answers to what is executed, and the connection. */
  async function lose(execute) {
    proxy.mode = 'swallow'
    const executed = execute()
    executed.catch(() => {})
    await until(async () => (await ioredis.get('n')) !== null)
    proxy.reset()
    proxy.mode = 'pass'
    return executed
  }

  it('a transaction has an unknown outcome, and is not sent twice', async () => {
    const lost = lose(() => client.multi().incr('n').incr('n').exec())
    expect(await refusalOf(() => lost)).toBeInstanceOf(OutcomeUnknownError)
    expect(await client.get('n')).toBe('2')
  })

  it('so has each command of a pipeline, and is not sent twice', async () => {
    const outcomes = await lose(() => client.pipeline().incr('n').get('n').exec())
    expect(outcomes).toEqual([[expect.any(OutcomeUnknownError)], [expect.any(OutcomeUnknownError)]])
    expect(await client.get('n')).toBe('1')
  })

  it('what was not sent has changed nothing', async () => {
    proxy.mode = 'refuse'
    proxy.reset()
    const hasty = clients.keep(createRedisClient(proxy.url, { commandTimeoutMs: 200 }))
    expect(await hasty.pipeline().incr('n').exec()).toEqual([[expect.any(RedisUnavailableError)]])
    const error = await refusalOf(() => hasty.multi().incr('n').exec())
    expect(error).toBeInstanceOf(RedisUnavailableError)
    await client.quit()
    expect(await refusalOf(() => client.pipeline().incr('n').exec())).toBeInstanceOf(ClosedError)
    expect(await ioredis.exists('n')).toBe(0)
  })
})

describe('multi()', () => {
  it('executes nothing in between', async () => {
    await ioredis.flushall()
    const others = Promise.all(Array.from({ length: 200 }, () => ioredis.incr('n')))
    const results = []
    for (let round = 0; round < 20; round++) {
      results.push(ours.multi().get('n').incr('n').incr('n').exec())
    }
    for (const [[, before], , [, after]] of await Promise.all(results)) {
      expect(after).toBe(Number(before) + 2)
    }
    await others
  })

  it('is all or nothing, where a command cannot be queued', async () => {
    await ioredis.flushall()
    const error = await refusalOf(() => ours.multi().set('a', 1).set('b').exec())
    expect(error).toBeInstanceOf(RedisReplyError)
    expect(error.message).toMatch(/^EXECABORT/)
    expect(error.previousErrors[0]).toBeInstanceOf(RedisReplyError)
    expect(await ours.exists('a')).toBe(0)
  })

  it('says that it was none, where the user may not begin one', async () => {
    await ioredis.flushall()
    await ioredis.acl('SETUSER', 'single', 'on', '>x', '+@all', '-multi', '~*', '&*')
    const client = clients.keep(createRedisClient(`redis://single:x@127.0.0.1:${server.port}`))
    const error = await refusalOf(() => client.multi().set('a', 1).exec())
    expect(error).toBeInstanceOf(RedisReplyError)
    expect(error.message).toMatch(/^MULTI was refused.*executed by itself: NOPERM/)
    expect(await ioredis.get('a')).toBe('1')
  })

  it('that is not sent in one go is refused, and says why', () => {
    const error = thrownBy(() => ours.multi({ pipeline: false }))
    expect(error).toBeInstanceOf(InvalidStateError)
  })

  it.each(['watch', 'unwatch', 'exec', 'discard', 'monitor', 'auth'])(
    '%s alone is refused, with what to use',
    async (name) => {
      const error = await refusalOf(() => ours[name]('x'))
      expect(error).toBeInstanceOf(InvalidStateError)
      expect(error.message).toMatch(/: (use|make) /)
    },
  )
})

describe('a server that has become a replica', () => {
  let demoted
  let proxy

  beforeEach(async () => {
    demoted = await RedisServer.start()
    proxy = await TcpProxy.start(demoted.port)
  })

  afterEach(async () => {
    await proxy.stop()
    await demoted.stop()
  })

  it.each(['pipeline', 'multi'])('is left for another connection by a %s', async (how) => {
    const client = clients.keep(createRedisClient(proxy.url))
    await client.get('n')
    await demoted.client().replicaof('127.0.0.1', 1)
    const before = proxy.connections
    const [first] = await Promise.allSettled([client[how]().set('n', 1).get('n').exec()])
    const { reason, value } = first
    expect(reason?.previousErrors[0] ?? value[0][0]).toMatchObject({
      message: expect.stringMatching(/^READONLY/),
    })
    await until(() => proxy.connections > before)
  })
})
