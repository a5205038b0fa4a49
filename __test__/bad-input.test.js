'use strict'

const {
  InvalidStateError,
  RedisStateManager,
  SessionExistsError,
  StateDeserializationError,
  StateError,
  createRedisClient,
} = require('../index.js')
const { listen } = require('./harness/channel.js')
const { Managers } = require('./harness/managers.js')
const { keysIn } = require('./harness/keys.js')
const { RedisServer } = require('./harness/redis.js')
const { refusalOf, thrownBy } = require('./harness/refusal.js')
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
  expect(error).toBeInstanceOf(InvalidStateError)
  expect(error).toBeInstanceOf(StateError)
  expect(error).toMatchObject({ name: 'InvalidStateError', code: 'INVALID_STATE' })
  expect(error.message).toContain(error.field)
  return error
}

describe('a session id', () => {
  const methods = [
    ['getSession', (id) => manager.getSession(id)],
    ['getSessions', (id) => manager.getSessions([ID, id])],
    ['createSession', (id) => manager.createSession(makeState({ session_id: id }))],
    ['updateSession', (id) => manager.updateSession(id, makeState({ session_id: id }))],
    ['locked updateSession', (id) => manager.updateSession(id, makeState({ session_id: id }), 1)],
    ['deleteSession', (id) => manager.deleteSession(id)],
    ['touchSession', (id) => manager.touchSession(id)],
    ['modifySession', (id) => manager.modifySession(id, (state) => state)],
    ['broadcastToSession', (id) => manager.broadcastToSession(id, 1)],
  ]
  const ids = [
    ['empty', ''],
    ['undefined', undefined],
    ['null', null],
    ['a number', 5],
    ['an object', { id: ID }],
    ['a String object', new String(ID)],
    ['of 513 bytes', 'x'.repeat(513)],
    ['of 257 characters and 514 bytes', 'é'.repeat(257)],
    ['half a surrogate pair', 'x\ud83e'],
  ]

  describe.each(methods)('for %s', (_name, call) => {
    it.each(ids)('that is %s is refused', async (_what, id) => {
      expect((await refusalBeforeSending(() => call(id))).field).toBe('session_id')
    })
  })

  it.each(['x'.repeat(512), 'é'.repeat(256), ' ', 'a b\n*', '\0'])(
    'such as %j is taken',
    async (id) => {
      await manager.createSession(makeState({ session_id: id }))
      await manager.updateSession(id, makeState({ session_id: id }), 1)
      expect(await manager.getSession(id)).toMatchObject({ session_id: id, version: 2 })
      expect(await redis.exists(`session:${id}`)).toBe(1)
      await manager.deleteSession(id)
      expect(await manager.getSession(id)).toBeNull()
    },
  )

  it('is refused where getSessions gets no list', async () => {
    for (const ids of [undefined, null, ID, { 0: ID, length: 1 }]) {
      expect((await refusalBeforeSending(() => manager.getSessions(ids))).field).toBe('session_id')
    }
  })
})

describe('a state', () => {
  const without = (field) => {
    const { [field]: _, ...rest } = makeState({ session_id: ID })
    return rest
  }
  const having = (fields) => makeState({ session_id: ID, ...fields })
  const cyclic = () => {
    const state = having({})
    state.within = { list: [state] }
    return state
  }
  const throwing = () => ({
    get secret() {
      throw new Error('mine')
    },
  })
  const revoked = () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  }
  const states = [
    ['undefined', 'state', () => undefined],
    ['null', 'state', () => null],
    ['a string', 'state', () => 'text'],
    ['a number', 'state', () => 5],
    ['a function', 'state', () => () => {}],
    ['without session_id', 'session_id', () => without('session_id')],
    ['with a session_id that is a number', 'session_id', () => having({ session_id: 5 })],
    ['without participants', 'participants', () => without('participants')],
    ['with participants that are an object', 'participants', () => having({ participants: {} })],
    ['with participants that are null', 'participants', () => having({ participants: null })],
    ['without sync_mode', 'sync_mode', () => without('sync_mode')],
    ['of an unknown sync_mode', 'sync_mode', () => having({ sync_mode: 'PER_CYCLE' })],
    ['of a sync_mode that is no string', 'sync_mode', () => having({ sync_mode: 0 })],
    ['without status', 'status', () => without('status')],
    ['of an unknown status', 'status', () => having({ status: 'constructor' })],
    ['with a version that is a string', 'version', () => having({ version: '1' })],
    ['with a version that is a fraction', 'version', () => having({ version: 1.5 })],
    ['with a negative version', 'version', () => having({ version: -1 })],
    ['with an invalid date', 'cycle_started_at', () => having({ cycle_started_at: new Date('x') })],
    [
      'with an invalid date in a participant',
      'participants[1].joined_at',
      () => having({ participants: [{}, { joined_at: new Date(Number.NaN) }] }),
    ],
    ['with a cycle', 'within.list[0]', cyclic],
    ['with a BigInt', 'count', () => having({ count: 5n })],
    [
      'with a BigInt in a participant',
      'participants[0].n',
      () => having({ participants: [{ n: 1n }] }),
    ],
    ['with a getter that throws', 'state', () => having({ within: throwing() })],
    ['that cannot be listed', 'state', () => having({ within: revoked() })],
    ['over maxStateBytes', 'state', () => having({ note: 'x'.repeat(1 << 20) })],
    [
      'whose fields are inherited',
      'session_id',
      () => Object.assign(Object.create(having({})), { status: 'paused' }),
    ],
    [
      'whose participants are not enumerable',
      'participants',
      () => Object.defineProperty(having({}), 'participants', { enumerable: false }),
    ],
    [
      'whose toJSON() leaves its fields out',
      'session_id',
      () => ({ ...having({}), toJSON: () => ({ version: 2, a: 1 }) }),
    ],
  ]

  it.each(states)(
    '%s is refused by its field %s, whatever writes it',
    async (_what, field, make) => {
      for (const call of [
        () => manager.createSession(make()),
        () => manager.createSession(make(), { ifAbsent: true }),
        () => manager.updateSession(ID, make()),
        () => manager.updateSession(ID, make(), 1),
      ]) {
        expect((await refusalBeforeSending(call)).field).toBe(field)
      }
      // This one has to read before it can know.
      const before = await redis.get(`session:${ID}`)
      if (make() === undefined) return // There it says that nothing is to be written.
      const error = await refusalOf(() => manager.modifySession(ID, make))
      expect(error).toBeInstanceOf(InvalidStateError)
      expect(error.field).toBe(field)
      expect(await redis.get(`session:${ID}`)).toBe(before)
    },
  )

  it('that is a list is refused', async () => {
    expect((await refusalBeforeSending(() => manager.updateSession(ID, []))).field).toBe('state')
    await refusalBeforeSending(() => manager.createSession([]))
  })

  it('whose session_id differs from the argument is refused', async () => {
    for (const expected of [undefined, 1]) {
      const call = () => manager.updateSession(ID, having({ session_id: 'session-2' }), expected)
      expect((await refusalBeforeSending(call)).field).toBe('session_id')
    }
  })

  it('is not part of the message, nor what is wrong in it', async () => {
    const state = having({ status: 'secret-status', note: 'secret-note' })
    const error = await refusalBeforeSending(() => manager.createSession(state))
    expect(error.message).not.toContain('secret')
  })

  it('of less than a MiB is taken', async () => {
    const state = having({ note: 'x'.repeat((1 << 20) - 5000) })
    await manager.updateSession(ID, state, 1)
    expect((await manager.getSession(ID)).note).toBe(state.note)
  })
})

describe('an expected version', () => {
  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '1', null, true, 1n, {}])(
    'that is %p is refused',
    async (expected) => {
      const state = await manager.getSession(ID)
      const error = await refusalBeforeSending(() => manager.updateSession(ID, state, expected))
      expect(error.field).toBe('expectedVersion')
      expect(error.sessionId).toBe(ID)
    },
  )
})

describe('a callback', () => {
  it.each([undefined, null, 'text', {}])('that is %p is refused with a throw', (callback) => {
    for (const method of ['subscribeToUpdates', 'subscribeToWebSocket']) {
      const error = thrownBy(() => manager[method](callback))
      expect(error).toBeInstanceOf(InvalidStateError)
      expect(error).toMatchObject({ field: 'callback', code: 'INVALID_STATE' })
    }
  })

  it.each([undefined, null, 'text', {}])('of modifySession that is %p is refused', async (fn) => {
    const error = await refusalBeforeSending(() => manager.modifySession(ID, fn))
    expect(error).toMatchObject({ field: 'fn', sessionId: ID })
  })

  it.each([-1, 1.5, '3', Number.NaN, null])('has no %p retries', async (retries) => {
    const call = () => manager.modifySession(ID, (state) => state, { retries })
    expect((await refusalBeforeSending(call)).field).toBe('retries')
  })
})

describe('a message', () => {
  const cycle = {}
  cycle.self = cycle
  it.each([
    ['undefined', undefined],
    ['a function', () => {}],
    ['a BigInt', { n: 1n }],
    ['a cycle', cycle],
  ])('that is %s is refused', async (_what, message) => {
    const error = await refusalBeforeSending(() => manager.broadcastToSession(ID, message))
    expect(error).toMatchObject({ field: 'message', sessionId: ID })
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
