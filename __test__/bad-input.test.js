'use strict'

const {
  InvalidStateError,
  RedisStateManager,
  SessionExistsError,
  StateDeserializationError,
  createRedisClient,
} = require('../index.js')
const { listen } = require('./harness/channel.js')
const { Managers } = require('./harness/managers.js')
const { keysIn } = require('./harness/keys.js')
const { RedisServer } = require('./harness/redis.js')
const { expectInvalid, refusalOf, thrownBy } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const ID = 'session-1'
let server
let redis
let manager
let messages
const managers = new Managers()

beforeAll(async () => {
  server = await RedisServer.start()
  redis = server.client()
  messages = await listen(server.client(), 'session-updates')
})

afterAll(async () => {
  await server.stop()
})

beforeEach(async () => {
  await redis.flushall()
  manager = managers.open(server.url)
  await manager.createSession(makeState({ session_id: ID }))
})

afterEach(async () => {
  await managers.close()
})

/** All of Redis: what is stored, and how many commands of a manager it has seen. */
async function snapshot() {
  const keys = await keysIn(redis)
  const values = await Promise.all(keys.map((key) => redis.dump(key)))
  const commands = (await redis.info('commandstats'))
    .split('\r\n')
    .filter((line) =>
      /^cmdstat_(get|mget|set|del|expire|publish|eval|evalsha|getrange)\b/.test(line),
    )
    .map((line) => line.split(',')[0])
  return { keys, values, commands }
}

/** The refusal of a call, during which nothing was sent to Redis and nothing changed in it. */
async function refusalBeforeSending(call) {
  const before = await snapshot()
  const error = await refusalOf(call)
  expect(await snapshot()).toEqual(before)
  expectInvalid(error)
  return error
}

describe('what is refused', () => {
  const state = makeState({ session_id: ID })
  const calls = [
    ['getSession', () => manager.getSession('')],
    ['getSessions', () => manager.getSessions([ID, ''])],
    ['createSession', () => manager.createSession({ ...state, status: 'none' })],
    ['updateSession', () => manager.updateSession(ID, { ...state, count: 5n })],
    ['locked updateSession', () => manager.updateSession(ID, state, 0)],
    ['deleteSession', () => manager.deleteSession(5)],
    ['touchSession', () => manager.touchSession(null)],
    ['modifySession', () => manager.modifySession(ID, null)],
    ['broadcastToSession', () => manager.broadcastToSession(ID, undefined)],
  ]

  it.each(calls)('is not sent to Redis: %s', async (_name, call) => {
    await refusalBeforeSending(call)
  })
})

describe('a stored value', () => {
  const whole = JSON.stringify(makeState({ session_id: ID }))
  const values = [
    ['no JSON', 'no JSON'],
    ['empty', ''],
    ['cut off', whole.slice(0, -5)],
    ['cut off, version first', '{"version":1,"session_id":"session-1","status":"run'],
    ['null', 'null'],
    ['a number', '5'],
    ['a string', '"text"'],
    ['a list', '[{"version":1}]'],
    ['without a version', whole.replace('"version":1,', '')],
    ['of a version that is a string', whole.replace('"version":1,', '"version":"1",')],
    ['of a version that is a fraction', whole.replace('"version":1,', '"version":1.5,')],
    ['of a version that is null', whole.replace('"version":1,', '"version":null,')],
  ]
  const calls = [
    ['getSession', () => manager.getSession(ID)],
    ['getSessions', () => manager.getSessions(['nobody', ID])],
    ['updateSession', () => manager.updateSession(ID, makeState({ session_id: ID }))],
    ['locked updateSession', () => manager.updateSession(ID, makeState({ session_id: ID }), 1)],
    ['modifySession', () => manager.modifySession(ID, (state) => state)],
  ]

  describe.each(values)('that is %s', (_what, value) => {
    it.each(calls)('is refused by %s, with the raw data, and stays', async (_name, call) => {
      await redis.set(`session:${ID}`, value, 'EX', 1000)
      await redis.publish('session-updates', 'mark')
      await until(() => messages.at(-1) === 'mark')
      const error = await refusalOf(call)
      expect(error).toBeInstanceOf(StateDeserializationError)
      expect(error).toMatchObject({
        name: 'StateDeserializationError',
        code: 'STATE_DESERIALIZATION_ERROR',
        sessionId: ID,
        rawData: value,
        message: `Failed to deserialize state for session ${ID}`,
      })
      expect(await redis.get(`session:${ID}`)).toBe(value)
      expect(await redis.ttl(`session:${ID}`)).toBeLessThanOrEqual(1000)
      const published = messages.length
      await redis.publish('session-updates', 'end')
      await until(() => messages.at(-1) === 'end')
      expect(messages).toHaveLength(published + 1)
    })
  })

  it.each(calls)('that is no JSON is the cause of the refusal by %s', async (_name, call) => {
    await redis.set(`session:${ID}`, 'no JSON')
    expect((await refusalOf(call)).cause).toBeInstanceOf(SyntaxError)
  })

  it('that is no text is refused too', async () => {
    await redis.set(`session:${ID}`, Buffer.from([0x7b, 0xff, 0xfe, 0x7d]))
    for (const [, call] of calls) {
      const error = await refusalOf(call)
      expect(error).toBeInstanceOf(StateDeserializationError)
      expect(error.rawData).toBe('{\ufffd\ufffd}')
    }
  })

  it('that is no string to Redis is refused and stays', async () => {
    await redis.del(`session:${ID}`)
    await redis.rpush(`session:${ID}`, 'x')
    for (const [name, call] of calls) {
      if (name === 'getSessions') continue // To MGET it is no value at all.
      expect(await refusalOf(call)).toBeInstanceOf(StateDeserializationError)
    }
    expect(await redis.type(`session:${ID}`)).toBe('list')
  })

  it('of no use is shown to nobody who prints the error', async () => {
    await redis.set(`session:${ID}`, '{"secret":')
    const error = await refusalOf(() => manager.getSession(ID))
    expect(JSON.stringify(error)).not.toContain('secret')
    expect(error.stack).not.toContain('secret')
  })

  it('of no use is there for ifAbsent, and may be overwritten and deleted', async () => {
    await redis.set(`session:${ID}`, 'no JSON')
    const state = makeState({ session_id: ID })
    const error = await refusalOf(() => manager.createSession(state, { ifAbsent: true }))
    expect(error).toBeInstanceOf(SessionExistsError)
    await manager.createSession(state)
    expect((await manager.getSession(ID)).version).toBe(1)
    await redis.set(`session:${ID}`, 'no JSON')
    await manager.deleteSession(ID)
    expect(await keysIn(redis)).toHaveLength(0)
  })
})

describe('the constructor', () => {
  it.each([undefined, null, 5, {}])('refuses %p for a client, with a throw', (redisArgument) => {
    const error = thrownBy(() => new RedisStateManager(redisArgument))
    expect(error).toBeInstanceOf(InvalidStateError)
    expect(error.field).toBe('redis')
  })

  it('refuses what is no second client, no queue and no options', () => {
    const refused = (...args) => thrownBy(() => new RedisStateManager(server.url, ...args))
    for (const [field, ...args] of [
      ['pubSub', 5],
      ['dbQueue', undefined, {}],
      ['dbQueue', undefined, { queueWrite: true }],
      ['options', undefined, undefined, 5],
    ]) {
      expect(refused(...args)).toBeInstanceOf(InvalidStateError)
      expect(refused(...args).field).toBe(field)
    }
  })

  const urls = [
    'http://user:secret@host:1',
    'redis://user:secret@host:port',
    'redis://user:sec@ret/secret@host:port',
    'redis://:secret@:1:2',
    'user:secret@host',
    'redis://user:secret@host/database',
    'redis://user:secret@host:99999',
  ]
  it.each(urls)('names a bad URL without its password: %s', (url) => {
    for (const make of [() => createRedisClient(url), () => new RedisStateManager(url)]) {
      const error = thrownBy(make)
      expect(error).toBeInstanceOf(InvalidStateError)
      expect(error.field).toBe('url')
      expect(error.message).toContain('***')
      const everything = Object.getOwnPropertyNames(error).map((name) => String(error[name]))
      expect(everything.join('\n')).not.toContain('secret')
    }
    expect(thrownBy(() => createRedisClient(url)).message).toMatch(/host|:1:2/)
  })

  it.each(['', ' ', 'nonsense', 'redis://', 5])('refuses the URL %j', (url) => {
    expect(thrownBy(() => createRedisClient(url))).toBeInstanceOf(InvalidStateError)
  })
})
