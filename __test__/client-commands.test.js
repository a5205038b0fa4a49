'use strict'

const { list: commands } = require('@ioredis/commands')
const { RedisReplyError, createRedisClient } = require('../index.js')
const { Managers } = require('./harness/managers.js')
const { RedisServer } = require('./harness/redis.js')
const { refusalOf } = require('./harness/refusal.js')

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

const BYTES = Buffer.from([0, 255, 13, 10, 128, 1])

/** What is done on an empty database: a name and a list of calls, each a method and its arguments. */
const TABLE = [
  [
    'strings',
    ['set', 'a', 'ü🦊\r\n'],
    ['get', 'a'],
    ['get', 'none'],
    ['strlen', 'a'],
    ['append', 'a', 1],
  ],
  [
    'options of set',
    ['set', 'a', 1, 'EX', 10, 'NX'],
    ['set', 'a', 2, 'NX'],
    ['set', 'a', 3, 'GET'],
    ['ttl', 'a'],
  ],
  [
    'expiry',
    ['setex', 'a', 10, 'x'],
    ['ttl', 'a'],
    ['expire', 'a', 20],
    ['persist', 'a'],
    ['pttl', 'a'],
    ['ttl', 'b'],
  ],
  [
    'counters',
    ['incr', 'n'],
    ['incrby', 'n', 41],
    ['decr', 'n'],
    ['incrbyfloat', 'n', 1.5],
    ['get', 'n'],
  ],
  [
    'large integers',
    ['set', 'n', '9223372036854775806'],
    ['incr', 'n'],
    ['get', 'n'],
    ['set', 'm', 2 ** 53],
    ['incr', 'm'],
  ],
  [
    'numbers beyond what is exact',
    ['set', 'n', 2 ** 63],
    ['get', 'n'],
    ['set', 'n', 1e300],
    ['strlen', 'n'],
  ],
  [
    'other types of arguments',
    ['set', 'a', null],
    ['get', 'a'],
    ['set', 'a', undefined],
    ['get', 'a'],
    ['set', 'a', true],
    ['get', 'a'],
    ['set', 'a', {}],
    ['get', 'a'],
  ],
  [
    'lists of arguments',
    ['del', ['a', 'b']],
    ['mset', ['a', '1', 'b', '2']],
    ['mget', ['a', 'b', 'c']],
    ['mget', 'a', 'b'],
  ],
  [
    'mset with an object',
    ['mset', { a: 1, b: 2 }],
    ['mget', 'a', 'b'],
    ['msetnx', { a: 3, c: 4 }],
    ['keys', '*'],
  ],
  ['mset with a Map', ['mset', new Map([['a', 1]])], ['get', 'a']],
  [
    'hashes',
    ['hset', 'h', 'a', 1, 'b', 2],
    ['hgetall', 'h'],
    ['hget', 'h', 'a'],
    ['hmget', 'h', 'a', 'x'],
    ['hkeys', 'h'],
    ['hvals', 'h'],
    ['hlen', 'h'],
    ['hgetall', 'none'],
    ['hincrby', 'h', 'a', 2],
    ['hdel', 'h', 'a'],
    ['hexists', 'h', 'b'],
  ],
  [
    'hset with an object',
    ['hset', 'h', { a: 1, b: 'x' }],
    ['hgetall', 'h'],
    ['hmset', 'h', new Map([['c', 3]])],
    ['hget', 'h', 'c'],
  ],
  ['a hash with odd names', ['hset', 'h', '__proto__', 1, 'constructor', 2], ['hgetall', 'h']],
  [
    'lists',
    ['rpush', 'l', 1, 2, 3],
    ['lrange', 'l', 0, -1],
    ['lpop', 'l'],
    ['lpop', 'none'],
    ['lpop', 'l', 2],
    ['llen', 'l'],
    ['lrange', 'l', 0, -1],
  ],
  [
    'sets',
    ['sadd', 's', 'a', 'b'],
    ['scard', 's'],
    ['sismember', 's', 'a'],
    ['smismember', 's', 'a', 'x'],
    ['srem', 's', 'a'],
    ['smembers', 's'],
  ],
  [
    'sorted sets',
    ['zadd', 'z', 1, 'a', 2.5, 'b'],
    ['zrange', 'z', 0, -1],
    ['zrange', 'z', 0, -1, 'WITHSCORES'],
    ['zscore', 'z', 'b'],
    ['zscore', 'z', 'x'],
    ['zmscore', 'z', 'a', 'x'],
    ['zincrby', 'z', 1, 'a'],
    ['zrank', 'z', 'b'],
    ['zrangebyscore', 'z', '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, 1],
    ['zpopmin', 'z'],
    ['zpopmax', 'z', 1],
    ['zcard', 'z'],
  ],
  [
    'sorted sets: the rest',
    ['zadd', 'z', 'inf', 'a', 1e21, 'b'],
    ['zrange', 'z', 0, -1, 'WITHSCORES'],
    ['zrandmember', 'z', 2, 'WITHSCORES'],
    ['zadd', 'z', 'INCR', 1, 'c'],
    ['zunion', 1, 'z', 'WITHSCORES'],
    ['zinter', 1, 'z'],
  ],
  [
    'keys',
    ['set', 'a', 1],
    ['exists', 'a', 'b'],
    ['type', 'a'],
    ['rename', 'a', 'b'],
    ['del', 'b', 'c'],
    ['dbsize'],
    ['randomkey'],
    ['object', 'ENCODING', 'a'],
  ],
  [
    'scans',
    ['mset', 'a', 1, 'b', 2],
    ['scan', 0, 'MATCH', 'a*', 'COUNT', 100],
    ['scan', '0', 'MATCH', 'x'],
    ['hset', 'h', 'a', 1],
    ['hscan', 'h', 0],
    ['zadd', 'z', 1, 'a'],
    ['zscan', 'z', 0],
    ['sadd', 's', 'a'],
    ['sscan', 's', 0],
  ],
  [
    'streams',
    ['xadd', 'x', '1-1', 'a', 1],
    ['xadd', 'x', '1-2', 'b', 2],
    ['xlen', 'x'],
    ['xrange', 'x', '-', '+'],
    ['xread', 'COUNT', 1, 'STREAMS', 'x', '0'],
    ['xread', 'STREAMS', 'x', '9'],
    ['xgroup', 'CREATE', 'x', 'g', 0],
    ['xreadgroup', 'GROUP', 'g', 'c', 'STREAMS', 'x', '>'],
    ['xack', 'x', 'g', '1-1'],
    ['xpending', 'x', 'g'],
    ['xinfo', 'GROUPS', 'x'],
  ],
  [
    'places',
    ['geoadd', 'g', 13.361389, 38.115556, 'p', 15.087269, 37.502669, 'c'],
    ['geopos', 'g', 'p', 'x'],
    ['geodist', 'g', 'p', 'c', 'km'],
    ['georadius', 'g', 15, 37, 200, 'km', 'WITHCOORD', 'WITHDIST'],
    ['geohash', 'g', 'p'],
  ],
  [
    'bits',
    ['setbit', 'b', 7, 1],
    ['getbit', 'b', 7],
    ['bitcount', 'b'],
    ['bitfield', 'b', 'GET', 'u8', 0],
  ],
  ['counts', ['pfadd', 'p', 1, 2], ['pfcount', 'p']],
  [
    'the server',
    ['config', 'GET', 'maxmemory*'],
    ['ping'],
    ['ping', 'x'],
    ['echo', 'x'],
    ['dbsize'],
    ['client', 'NO-EVICT', 'off'],
    ['command', 'COUNT'],
    ['pubsub', 'NUMSUB', 'a'],
    ['publish', 'a', 'x'],
    ['swapdb', 0, 1],
    ['flushdb'],
  ],
  [
    'scripts',
    ['eval', 'return {1, KEYS[1], ARGV[1], {false, true}}', 1, 'k', 'v'],
    ['eval', "return redis.error_reply('MINE x')", 0],
    ['eval', "return {1, redis.error_reply('MINE x')}", 0],
    ['script', 'EXISTS', 'x'],
    ['evalsha', 'f'.repeat(40), 0],
  ],
  [
    'buffers',
    ['set', 'a', BYTES],
    ['getBuffer', 'a'],
    ['hset', 'h', BYTES, BYTES],
    ['hgetallBuffer', 'h'],
    ['hvalsBuffer', 'h'],
    ['setBuffer', 'x', 1],
    ['mgetBuffer', 'a', 'none'],
    ['incrBuffer', 'x'],
    ['lpopBuffer', 'none'],
    ['xaddBuffer', 's', '1-1', 'a', BYTES],
    ['xrangeBuffer', 's', '-', '+'],
  ],
  ['dump and restore', ['set', 'a', 'x'], ['dumpBuffer', 'a']],
  [
    'errors',
    ['set', 'a', 'x'],
    ['lpush', 'a', 1],
    ['incr', 'a'],
    ['set', 'a'],
    ['hset', 'h'],
    ['config', 'NONE'],
    ['expire', 'a', 'x'],
  ],
  [
    'call',
    ['call', 'SET', 'a', 1],
    ['call', 'get', 'a'],
    ['callBuffer', 'GET', 'a'],
    ['call', 'MGET', ['a', 'b']],
    ['send_command', 'GET', ['a']],
  ],
]

/** The outcome of each call, one after the other; the message of an error in its place. */
async function outcomes(client, calls) {
  await ioredis.select(0)
  await ioredis.flushall()
  await ioredis.script('FLUSH')
  const all = []
  for (const [method, ...args] of calls) {
    const outcome = await client[method](...args).catch((error) => error)
    all.push([method, withoutClasses(outcome)])
  }
  return all
}

/** Errors as their messages, as their classes are each library's own. */
function withoutClasses(value) {
  if (value instanceof Error) return { message: value.message }
  return Array.isArray(value) ? value.map(withoutClasses) : value
}

describe('a command is a method, with the results of ioredis:', () => {
  it.each(TABLE)('%s', async (_name, ...calls) => {
    const expected = await outcomes(ioredis, calls)
    expect(await outcomes(ours, calls)).toStrictEqual(expected)
  })

  it('each command that ioredis has, and with buffers', () => {
    const missing = commands
      .flatMap((name) => [name, `${name}Buffer`])
      .filter((name) => typeof ioredis[name] === 'function' && typeof ours[name] !== 'function')
    expect(missing).toEqual([])
  })
})

it('an error of Redis is a RedisReplyError, and its stack leads to the caller', async () => {
  await ours.set('text', 'x')
  const call = async () => await ours.lpush('text', 1)
  const error = await refusalOf(call)
  expect(error).toBeInstanceOf(RedisReplyError)
  expect(error.stack).toContain('client-commands.test.js')
})

it.each(['get', 'call', 'ping'])('a callback gets the result of %s', async (method) => {
  const args = { get: ['none'], call: ['GET', 'none'], ping: [] }[method]
  const got = await new Promise((resolve) => ours[method](...args, (...told) => resolve(told)))
  expect(got).toEqual([null, method === 'ping' ? 'PONG' : null])
  await ours.set('text', 'x')
  const failed = await new Promise((resolve) => ours.lpush('text', 1, (...told) => resolve(told)))
  expect(failed).toEqual([expect.any(RedisReplyError)])
})
