'use strict'

const {
  ClosedError,
  DBWriteQueue,
  InvalidStateError,
  OutcomeUnknownError,
  OverloadedError,
  RedisStateManager,
  RedisUnavailableError,
  createRedisClient,
  createRedisPubSubClient,
} = require('../index.js')
const { listen } = require('./harness/channel.js')
const { Managers } = require('./harness/managers.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { keysIn } = require('./harness/keys.js')
const { RedisServer } = require('./harness/redis.js')
const { refusalOf, thrownBy } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

let server
let redis
const managers = new Managers()

beforeAll(async () => {
  server = await RedisServer.start()
  redis = server.client()
})

afterAll(async () => {
  await server.stop()
})

afterEach(async () => {
  server.resume()
  await managers.close()
  await redis.flushall()
})

describe('options', () => {
  it.each([
    ['a string', 'other:'],
    ['an option', { keyPrefix: 'other:' }],
  ])('keyPrefix as %s is where sessions are', async (_name, options) => {
    const manager = managers.keep(new RedisStateManager(server.url, undefined, undefined, options))
    const state = makeState()
    await manager.createSession(state)
    expect(await keysIn(redis)).toEqual([`other:${state.session_id}`])
    const read = await manager.getSession(state.session_id)
    expect(await manager.getSessions([state.session_id])).toEqual([read])
    await manager.updateSession(state.session_id, read, 1)
    expect(await manager.touchSession(state.session_id)).toBe(true)
    await manager.deleteSession(state.session_id)
    expect(await keysIn(redis)).toHaveLength(0)
  })

  it('ttlSeconds is what create, both updates and touch set', async () => {
    const manager = managers.open(server.url, { ttlSeconds: 77 })
    const state = makeState()
    const id = state.session_id
    for (const act of [
      () => manager.createSession(state),
      () => manager.updateSession(id, state, 1),
      () => manager.updateSession(id, state),
      () => manager.touchSession(id),
    ]) {
      await redis.persist(`session:${id}`)
      await act()
      const ttl = await redis.ttl(`session:${id}`)
      expect(ttl).toBeGreaterThanOrEqual(76)
      expect(ttl).toBeLessThanOrEqual(77)
    }
  })

  it('updatesChannel is where updates are published and heard', async () => {
    const manager = managers.open(server.url, { updatesChannel: 'mine' })
    const elsewhere = managers.open(server.url)
    const [here, there] = [jest.fn(), jest.fn()]
    manager.subscribeToUpdates(here)
    elsewhere.subscribeToUpdates(there)
    await Promise.all([manager.subscribed(), elsewhere.subscribed()])
    const raw = await listen(server.client(), 'mine')
    const state = makeState()
    await manager.createSession(state)
    await manager.updateSession(state.session_id, state)
    await manager.deleteSession(state.session_id)
    await elsewhere.deleteSession('last')
    await until(() => here.mock.calls.length === 3 && raw.length === 3 && there.mock.calls.length)
    expect(there.mock.calls).toEqual([['last', null]])
  })

  it.each(['mine:', 'odd*[x]?\\'])('wsChannelPrefix %j is where broadcasts are', async (prefix) => {
    const manager = managers.open(server.url, { wsChannelPrefix: prefix })
    const elsewhere = managers.open(server.url)
    const [here, there] = [jest.fn(), jest.fn()]
    manager.subscribeToWebSocket(here)
    elsewhere.subscribeToWebSocket(there)
    await Promise.all([manager.subscribed(), elsewhere.subscribed()])
    const raw = await listen(server.client(), `${prefix}s`)
    await manager.broadcastToSession('s', 1)
    await elsewhere.broadcastToSession('s', 2)
    await manager.broadcastToSession('s', 3)
    await until(() => here.mock.calls.length === 2 && raw.length === 2 && there.mock.calls.length)
    expect(here.mock.calls).toEqual([
      ['s', 1],
      ['s', 3],
    ])
    expect(there.mock.calls).toEqual([['s', 2]])
  })

  it('maxStateBytes is what a state may have, to the byte', async () => {
    const state = makeState({ note: 'é' })
    const bytes = Buffer.byteLength(JSON.stringify(state))
    const enough = managers.open(server.url, { maxStateBytes: bytes })
    const less = managers.open(server.url, { maxStateBytes: bytes - 1 })
    const error = await refusalOf(() => less.createSession(state))
    expect(error).toBeInstanceOf(InvalidStateError)
    expect(await keysIn(redis)).toHaveLength(0)
    await enough.createSession(state)
    expect(await keysIn(redis)).toHaveLength(1)
  })

  it('maxInFlight refuses at once what is too much, and earlier calls still succeed', async () => {
    const manager = managers.open(server.url, { maxInFlight: 2 })
    const state = makeState()
    await manager.createSession(state)
    server.pause()
    const earlier = [
      manager.getSession(state.session_id),
      manager.updateSession(state.session_id, state),
    ]
    for (const call of [
      () => manager.getSession(state.session_id),
      () => manager.updateSession(state.session_id, state),
      () => manager.broadcastToSession(state.session_id, 1),
    ]) {
      const error = await refusalOf(call) // While nothing is answered at all.
      expect(error).toBeInstanceOf(OverloadedError)
      expect(error).toBeInstanceOf(RedisUnavailableError) // As it was caught before.
      expect(error).toMatchObject({ code: 'OVERLOADED', name: 'OverloadedError' })
      expect(error.message).toMatch(/^Overloaded: 127\.0\.0\.1:\d+: 2 calls .*maxInFlight/)
      expect(error.stack).toMatch(/^OverloadedError: Overloaded/)
    }
    server.resume()
    const [read] = await Promise.all(earlier)
    expect(read.version).toBe(1)
    expect((await manager.getSession(state.session_id)).version).toBe(2)
  })

  it.each([
    ['a client', (one) => () => one.ping(), (options) => createRedisClient(server.url, options)],
    [
      'a queue',
      (one) => () => one.getMetrics(),
      (options) => new DBWriteQueue(server.url, { worker: false, ...options }),
    ],
  ])('maxInFlight of %s refuses in the same way', async (_what, callOf, make) => {
    const one = managers.keep(make({ maxInFlight: 1 }))
    const call = callOf(one)
    const earlier = call()
    expect(await refusalOf(call)).toBeInstanceOf(OverloadedError)
    await earlier
    await call()
  })

  it('commandTimeoutMs is when a call that gets no answer is settled', async () => {
    const manager = managers.open(server.url, { commandTimeoutMs: 300 })
    const state = makeState()
    await manager.createSession(state)
    server.pause()
    const started = performance.now()
    const [read, write] = await Promise.all([
      refusalOf(() => manager.getSession(state.session_id)),
      refusalOf(() => manager.updateSession(state.session_id, state, 1)),
    ])
    const lasted = performance.now() - started
    expect(read).toBeInstanceOf(RedisUnavailableError)
    expect(write).toBeInstanceOf(OutcomeUnknownError)
    expect(write).toMatchObject({ code: 'OUTCOME_UNKNOWN', sessionId: state.session_id })
    expect(lasted).toBeGreaterThan(290)
    expect(lasted).toBeLessThan(1300)
  })

  it.each([
    ['keyPrefix', 5],
    ['updatesChannel', null],
    ['wsChannelPrefix', {}],
    ['ttlSeconds', 0],
    ['ttlSeconds', 1.5],
    ['ttlSeconds', '60'],
    ['commandTimeoutMs', -1],
    ['commandTimeoutMs', Number.POSITIVE_INFINITY],
    ['maxInFlight', 0],
    ['maxInFlight', Number.NaN],
    ['maxStateBytes', 0],
    ['maxStateBytes', 2 ** 40],
    ['logger', {}],
    ['logger', null],
  ])('are refused by name: %s %p', (field, value) => {
    const error = thrownBy(() => managers.open(server.url, { [field]: value }))
    expect(error).toBeInstanceOf(InvalidStateError)
    expect(error).toMatchObject({ field, code: 'INVALID_STATE' })
  })

  it('that do not exist are refused, and undefined ones are the default', async () => {
    const error = thrownBy(() => managers.open(server.url, { ttl: 5 }))
    expect(error).toBeInstanceOf(InvalidStateError)
    expect(error.field).toContain('ttl')
    const manager = managers.open(server.url, { keyPrefix: undefined })
    await manager.createSession(makeState({ session_id: 's' }))
    expect(await keysIn(redis)).toEqual(['session:s'])
  })
})

test('a client of another copy of this module is refused in words that say so', () => {
  // As a service's tests come by one that reset their modules.
  let client
  jest.isolateModules(() => {
    client = require('../index.js').createRedisClient(server.url)
  })
  const error = thrownBy(() => managers.open(client))
  expect(error).toBeInstanceOf(InvalidStateError)
  expect(error.message).toMatch(/another copy/)
})

test.each([
  ['createSession', [makeState(), { ifabsent: true }], 'options.ifabsent'],
  ['modifySession', ['a', (state) => state, { retry: 1 }], 'options.retry'],
])('an option of %s that is none is refused by its name', async (method, args, field) => {
  const manager = managers.open(server.url)
  const error = await refusalOf(() => manager[method](...args))
  expect(error).toMatchObject({ code: 'INVALID_STATE', field })
})

test.each([
  ['getFailed', { limt: 5 }, 'options.limt'],
  ['adoptBullMQ', { name: 'old' }, 'options.name'],
  ['adoptBullMQ', 'old', 'options'],
])('an option of %s that is none is refused by its name', async (method, options, field) => {
  const queue = managers.keep(new DBWriteQueue(server.url, { worker: false }))
  const error = await refusalOf(() => queue[method](options))
  expect(error).toMatchObject({ code: 'INVALID_STATE', field })
})

describe('the write queue', () => {
  it('is told of each write after it, with the state written', async () => {
    const calls = []
    const queueWrite = async (id, state, type) => {
      calls.push([type, id, state, JSON.parse(await redis.get(`session:${id}`)).version])
    }
    const manager = managers.open(server.url, { queue: { queueWrite } })
    const state = makeState({ version: 40 })
    const id = state.session_id
    const states = []
    await manager.createSession(state)
    states.push(await manager.getSession(id))
    await manager.updateSession(id, { ...state, status: 'running' }, 1)
    states.push(await manager.getSession(id))
    await manager.updateSession(id, { ...state, status: 'paused' })
    states.push(await manager.getSession(id))
    states.push(await manager.modifySession(id, (current) => ({ ...current, status: 'running' })))
    await until(() => calls.length === 4)
    expect(calls).toEqual([
      ['session_created', id, states[0], 1],
      ['session_updated', id, states[1], 2],
      ['session_updated', id, states[2], 3],
      ['session_updated', id, states[3], 4],
    ])
  })

  it('is told what was written, whatever the caller does with its object meanwhile', async () => {
    const queueWrite = jest.fn()
    const manager = managers.open(server.url, { queue: { queueWrite } })
    const state = makeState()
    const creating = manager.createSession(state)
    state.status = 'cancelled'
    state.participants[0].has_gone = true
    await creating
    expect(queueWrite).toHaveBeenCalledTimes(1)
    const stored = await manager.getSession(state.session_id)
    expect(stored.status).toBe('pending')
    expect(queueWrite.mock.calls[0][1]).toEqual(stored)
  })

  it('is not told of what was refused', async () => {
    const queueWrite = jest.fn()
    const manager = managers.open(server.url, { queue: { queueWrite } })
    const state = makeState()
    await refusalOf(() => manager.updateSession(state.session_id, state, 1))
    await refusalOf(() => manager.createSession({ ...state, status: 'x' }))
    expect(queueWrite).not.toHaveBeenCalled()
    await manager.createSession(state)
    await refusalOf(() => manager.createSession(state, { ifAbsent: true }))
    await refusalOf(() => manager.updateSession(state.session_id, state, 5))
    expect(queueWrite).toHaveBeenCalledTimes(1)
  })

  it('is not waited for', async () => {
    const queueWrite = jest.fn(() => new Promise(() => {}))
    const manager = managers.open(server.url, { queue: { queueWrite } })
    const state = makeState()
    await manager.createSession(state)
    await manager.updateSession(state.session_id, state, 1)
    expect(queueWrite).toHaveBeenCalledTimes(2)
  })

  const fault = new Error('no disk')
  it.each([
    ['rejects', () => Promise.reject(fault)],
    [
      'throws',
      () => {
        throw fault
      },
    ],
  ])('that %s fails no write, and is reported to the logger', async (_name, queueWrite) => {
    const logger = recordingLogger()
    const manager = managers.open(server.url, { queue: { queueWrite }, logger })
    const state = makeState()
    await manager.createSession(state)
    await manager.updateSession(state.session_id, state, 1)
    await until(() => logger.entries.length === 2)
    for (const [level, fields] of logger.entries) {
      expect(level).toBe('error')
      expect(fields).toMatchObject({ err: fault, sessionId: state.session_id })
    }
    expect((await manager.getSession(state.session_id)).version).toBe(2)
  })
})

describe('close', () => {
  const methods = [
    ['getSession', (manager) => manager.getSession('s')],
    ['getSessions', (manager) => manager.getSessions(['s'])],
    ['createSession', (manager) => manager.createSession(makeState())],
    ['updateSession', (manager) => manager.updateSession('s', makeState({ session_id: 's' }))],
    ['deleteSession', (manager) => manager.deleteSession('s')],
    ['touchSession', (manager) => manager.touchSession('s')],
    ['modifySession', (manager) => manager.modifySession('s', (state) => state)],
    ['broadcastToSession', (manager) => manager.broadcastToSession('s', 1)],
    ['subscribed', (manager) => manager.subscribed()],
  ]

  it.each(methods)('makes %s reject with ClosedError', async (_name, call) => {
    const manager = managers.open(server.url)
    await manager.getSession('s')
    const closing = manager.close()
    const error = await refusalOf(() => call(manager))
    await closing
    for (const each of [error, await refusalOf(() => call(manager))]) {
      expect(each).toBeInstanceOf(ClosedError)
      expect(each.code).toBe('CLOSED')
    }
    expect(await keysIn(redis)).toHaveLength(0)
  })

  it('makes both subscribe methods throw ClosedError', async () => {
    const manager = managers.open(server.url)
    await manager.close()
    for (const method of ['subscribeToUpdates', 'subscribeToWebSocket']) {
      expect(thrownBy(() => manager[method](() => {}))).toBeInstanceOf(ClosedError)
    }
  })

  it('may be called twice, before and after it has ended', async () => {
    const manager = managers.open(server.url)
    await manager.getSession('s')
    const both = [manager.close(), manager.close()]
    expect(await Promise.all(both)).toEqual([undefined, undefined])
    expect(await manager.close()).toBeUndefined()
  })

  it('lets what is in flight succeed, and calls no callback afterwards', async () => {
    const manager = managers.open(server.url)
    const heard = jest.fn()
    manager.subscribeToUpdates(heard)
    await manager.subscribed()
    await manager.getSession('s')
    const state = makeState()
    const creating = manager.createSession(state)
    await manager.close()
    await creating
    const calls = heard.mock.calls.length
    expect(await redis.exists(`session:${state.session_id}`)).toBe(1)
    await managers.open(server.url).deleteSession(state.session_id)
    expect(heard).toHaveBeenCalledTimes(calls)
  })

  it('ends both clients that were passed in, which may have been ended before', async () => {
    const [client, pubSub] = [createRedisClient(server.url), createRedisPubSubClient(server.url)]
    const manager = new RedisStateManager(client, pubSub)
    manager.subscribeToUpdates(() => {})
    await manager.subscribed()
    await client.ping()
    await manager.close()
    expect([client.status, pubSub.status]).toEqual(['end', 'end'])
    const ended = createRedisClient(server.url)
    const other = new RedisStateManager(ended)
    await ended.quit()
    await other.close()
  })

  it('leaves no connection behind in Redis', async () => {
    const count = async () => (await redis.client('LIST')).trim().split('\n').length
    const before = await count()
    const manager = managers.open(server.url)
    manager.subscribeToWebSocket(() => {})
    await manager.subscribed()
    await manager.getSession('s')
    expect(await count()).toBeGreaterThanOrEqual(before + 2)
    await manager.close()
    await until(async () => (await count()) === before)
  })

  it('is what Symbol.asyncDispose does', async () => {
    const manager = managers.open(server.url)
    await manager[Symbol.asyncDispose]()
    expect(await refusalOf(() => manager.getSession('s'))).toBeInstanceOf(ClosedError)
  })
})
