'use strict'

const { RedisReplyError, createRedisClient } = require('../index.js')
const { Managers } = require('./harness/managers.js')
const { RedisServer } = require('./harness/redis.js')
const { refusalOf } = require('./harness/refusal.js')

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
  await redis.flushall()
})

/** Counts how often it runs, and then answers with an error. */
const SCRIPT = "redis.call('INCR', KEYS[1]) return redis.error_reply(ARGV[1])"

describe('call() is sent once, and rejects with the error as it is', () => {
  it.each([
    'BUSY later',
    "READONLY You can't write against a read only replica.",
    'LOADING Redis is loading the dataset in memory',
    'MASTERDOWN Link with MASTER is down',
    'NOSCRIPT No matching script. Please use EVAL.',
    'TRYAGAIN Multiple keys request during rehashing of slot',
    'CLUSTERDOWN The cluster is down',
    'NOREPLICAS Not enough good replicas to write.',
    'MISCONF Errors writing to the AOF file',
    'MINE x',
  ])('%s', async (line) => {
    const client = clients.keep(createRedisClient(server.url, { commandTimeoutMs: 1500 }))
    const error = await refusalOf(() => client.call('EVAL', SCRIPT, 1, 'runs', line))
    expect(await redis.get('runs')).toBe('1')
    expect(error).toBeInstanceOf(RedisReplyError)
    expect(error.message).toBe(line)
    expect(await client.ping()).toBe('PONG')
  })

  it('what Redis itself refuses is told at once, and not tried again', async () => {
    const client = clients.keep(createRedisClient(server.url))
    await client.ping()
    await redis.config('SET', 'min-replicas-to-write', 1)
    try {
      const started = performance.now()
      const error = await refusalOf(() => client.call('SET', 'k', 'v'))
      expect(error).toBeInstanceOf(RedisReplyError)
      expect(error.message).toMatch(/^NOREPLICAS /)
      expect(performance.now() - started).toBeLessThan(1000)
    } finally {
      await redis.config('SET', 'min-replicas-to-write', 0)
    }
  })

  it('a script that Redis does not know is not sent otherwise', async () => {
    const client = clients.keep(createRedisClient(server.url))
    const error = await refusalOf(() => client.call('EVALSHA', 'f'.repeat(40), 0))
    expect(error).toBeInstanceOf(RedisReplyError)
    expect(error.message).toMatch(/^NOSCRIPT /)
  })
})
