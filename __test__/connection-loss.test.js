'use strict'

const {
  ClosedError,
  ConcurrencyError,
  OutcomeUnknownError,
  RedisStateManager,
  RedisUnavailableError,
} = require('..')
const { TcpProxy } = require('./harness/proxy.js')
const { RedisServer } = require('./harness/redis.js')
const { makeState } = require('./harness/sessions.js')
const { sleep, until } = require('./harness/until.js')

let server
let redis
let proxy
let managers = []

beforeAll(async () => {
  server = await RedisServer.start(['--appendonly', 'yes', '--appendfsync', 'always'])
  redis = server.client()
})
afterAll(() => server.stop())

beforeEach(async () => {
  proxy = await TcpProxy.start(server.port)
})
afterEach(async () => {
  jest.restoreAllMocks()
  await Promise.all(managers.map((manager) => manager.close()))
  managers = []
  await proxy.stop()
})

/** A manager that is closed after the test. */
function manage(url, options) {
  const manager = new RedisStateManager(url, undefined, undefined, options)
  managers.push(manager)
  return manager
}

/** A manager whose connection through the proxy stands, to a server that knows the scripts. */
async function connected(options, through = proxy) {
  const manager = manage(through.url, options)
  await manager.createSession(makeState())
  await manager.deleteSession('any')
  return manager
}

async function stored(id) {
  const text = await redis.get(`session:${id}`)
  return text === null ? null : JSON.parse(text)
}

/** A session in Redis, made by nobody under test. */
async function given(overrides) {
  const state = makeState(overrides)
  await redis.set(`session:${state.session_id}`, JSON.stringify(state))
  return state
}

/** The outcome of a promise, which then is no unhandled rejection. */
function outcomeOf(promise) {
  return promise.then(
    () => 'done',
    (error) => error.name,
  )
}

/**
 * Calls, lets it land, loses its answer. What happens `before` is before the connection is lost,
 * what happens `meanwhile` is before the retry.
 */
async function loseAnswerOf(call, landed, meanwhile = async () => {}, before = async () => {}) {
  proxy.mode = 'swallow'
  const outcome = outcomeOf(call())
  await until(landed)
  await before()
  proxy.mode = 'refuse'
  proxy.reset()
  await meanwhile()
  proxy.mode = 'pass'
  return outcome
}

describe('answers are swallowed', () => {
  const METHODS = {
    get: (manager, { session_id: id }) => manager.getSession(id),
    getMany: (manager, { session_id: id }) => manager.getSessions([id, 'other']),
    modify: (manager, { session_id: id }) => manager.modifySession(id, (current) => current),
    create: (manager) => manager.createSession(makeState()),
    createIfAbsent: (manager) => manager.createSession(makeState(), { ifAbsent: true }),
    update: (manager, state) => manager.updateSession(state.session_id, state),
    locked: (manager, state) => manager.updateSession(state.session_id, state, 1),
    touch: (manager, { session_id: id }) => manager.touchSession(id),
    broadcast: (manager, { session_id: id }) => manager.broadcastToSession(id, 1),
    delete: (manager) => manager.deleteSession('absent'),
  }
  const READS = ['get', 'getMany', 'modify']

  test.each([600, 2600])('every method settles by its deadline of %i ms', async (timeout) => {
    const state = await given()
    const calls = await Promise.all(
      Object.entries(METHODS).map(async ([name, method]) => {
        const manager = await connected({ commandTimeoutMs: timeout })
        return [name, () => method(manager, state)]
      }),
    )
    proxy.mode = 'swallow'
    const settled = {}
    const expected = {}
    await Promise.all(
      calls.map(async ([name, call]) => {
        const started = performance.now()
        settled[name] = await outcomeOf(call())
        expect(performance.now() - started).toBeLessThan(timeout + 800)
        // A read has changed nothing; of the others nobody knows.
        expected[name] = (READS.includes(name) ? RedisUnavailableError : OutcomeUnknownError).name
      }),
    )
    // A broadcast is never repeated, so its loss is known with its connection's.
    expect(settled).toEqual(expected)
  })

  test('of 500 calls in flight none is left, and what is said not to be sent was not', async () => {
    const manager = await connected({ commandTimeoutMs: 800 })
    const states = Array.from({ length: 500 }, () => makeState())
    proxy.mode = 'swallow'
    const started = performance.now()
    const outcomes = await Promise.all(
      states.map((state) => outcomeOf(manager.createSession(state))),
    )
    expect(performance.now() - started).toBeLessThan(1800)
    expect(outcomes).toContain(OutcomeUnknownError.name)
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome === OutcomeUnknownError.name) continue
      expect(outcome).toBe(RedisUnavailableError.name)
      expect(await stored(states[index].session_id)).toBeNull()
    }
  })

  test.each([
    ['unlocked', undefined],
    ['locked', 1],
  ])('an %s update whose answer was lost counts once', async (_kind, expected) => {
    const manager = await connected()
    const state = await given()
    const id = state.session_id
    const listener = server.client()
    const heard = []
    listener.on('message', (_channel, text) => {
      if (JSON.parse(text).sessionId === id) heard.push(text)
    })
    await listener.subscribe('session-updates')
    const outcome = await loseAnswerOf(
      () => manager.updateSession(id, { ...state, status: 'running' }, expected),
      async () => (await stored(id)).version > 1,
    )
    expect(outcome).toBe('done')
    expect(await stored(id)).toMatchObject({ version: 2, status: 'running' })
    await manager.updateSession(id, { ...state, status: 'paused' })
    await until(() => heard.some((text) => text.includes('paused')))
    expect(heard).toHaveLength(2)
  })

  test('a connection that stopped answering is replaced within the deadline', async () => {
    const manager = await connected()
    const state = await given()
    proxy.mode = 'swallow'
    const update = manager.updateSession(state.session_id, state)
    await until(async () => (await stored(state.session_id)).version === 2)
    proxy.mode = 'pass' // The connection stays, and stays deaf.
    await update
    expect((await stored(state.session_id)).version).toBe(2)
  })

  test('updates of one state by many callers, their answers lost, count once each', async () => {
    const manager = await connected()
    const state = await given()
    const id = state.session_id
    const outcomes = await loseAnswerOf(
      () => Promise.all(Array.from({ length: 100 }, () => manager.updateSession(id, state))),
      async () => (await stored(id)).version > 1,
    )
    expect(outcomes).toBe('done')
    expect((await stored(id)).version).toBe(101) // Some landed, some were not even sent.
  })

  test('of identical locked updates at one moment only one wins, answers lost or not', async () => {
    jest.spyOn(Date, 'now').mockReturnValue(Date.now())
    const manager = await connected()
    const state = await given()
    const id = state.session_id
    let outcomes = []
    await loseAnswerOf(
      async () => {
        const calls = Array.from({ length: 10 }, () => manager.updateSession(id, state, 1))
        outcomes = await Promise.all(calls.map(outcomeOf))
      },
      async () => (await stored(id)).version > 1,
    )
    expect((await stored(id)).version).toBe(2)
    expect(outcomes.filter((outcome) => outcome === 'done').length).toBeLessThanOrEqual(1)
    // Whoever is told of a conflict is told the truth; the rest cannot know.
    const rest = outcomes.filter((outcome) => outcome !== 'done')
    for (const name of rest)
      expect([ConcurrencyError.name, OutcomeUnknownError.name]).toContain(name)
  })

  test('an update that was lost is not taken for an identical one that landed', async () => {
    jest.spyOn(Date, 'now').mockReturnValue(Date.now())
    const manager = await connected()
    const state = await given()
    const id = state.session_id
    let second
    const first = await loseAnswerOf(
      () => manager.updateSession(id, state),
      async () => (await stored(id)).version === 2,
      async () => {},
      async () => {
        const held = proxy.hold('EVAL')
        second = outcomeOf(manager.updateSession(id, state))
        await held // Sent, and lost with its connection.
      },
    )
    const done = [first, await second].filter((outcome) => outcome === 'done').length
    expect((await stored(id)).version - 1).toBeGreaterThanOrEqual(done)
  })

  test('a locked update that others have overtaken is done, and no conflict', async () => {
    const manager = await connected()
    const other = manage(server.url)
    const state = await given()
    const id = state.session_id
    const outcome = await loseAnswerOf(
      () => manager.updateSession(id, { ...state, status: 'running' }, 1),
      async () => (await stored(id)).version === 2,
      () => other.updateSession(id, { ...state, status: 'paused' }, 2),
    )
    expect(outcome).toBe('done')
    expect(await stored(id)).toMatchObject({ version: 3, status: 'paused' })
  })

  test('an unlocked update is not repeated over a write that was called later', async () => {
    const manager = await connected()
    const other = manage(server.url)
    const state = await given()
    const id = state.session_id
    const outcome = await loseAnswerOf(
      () => manager.updateSession(id, { ...state, status: 'running' }),
      async () => (await stored(id)).version === 2,
      () => other.updateSession(id, { ...state, status: 'paused' }),
    )
    expect(outcome).toBe('done')
    expect(await stored(id)).toMatchObject({ version: 3, status: 'paused' })
  })

  test('nor over a write that was called earlier and landed later', async () => {
    const manager = await connected()
    const late = await TcpProxy.start(server.port)
    const other = await connected({}, late)
    const state = await given()
    const id = state.session_id
    const held = late.hold('EVAL')
    const waiting = other.updateSession(id, { ...state, status: 'paused' })
    const { release } = await held
    await sleep(5) // Its date is older than that of the next.
    const outcome = await loseAnswerOf(
      () => manager.updateSession(id, { ...state, status: 'running' }),
      async () => (await stored(id)).version === 2,
      async () => {
        release()
        await waiting
      },
    )
    await late.stop()
    expect(outcome).toBe('done')
    expect(await stored(id)).toMatchObject({ version: 3, status: 'paused' })
  })

  test('an unlocked update is not repeated over the deletion of its session', async () => {
    const manager = await connected()
    const other = manage(server.url)
    const state = await given()
    const id = state.session_id
    const outcome = await loseAnswerOf(
      () => manager.updateSession(id, state),
      async () => (await stored(id)).version === 2,
      () => other.deleteSession(id),
    )
    expect(outcome).toBe('done')
    expect(await stored(id)).toBeNull()
  })

  test('a create whose answer was lost counts once', async () => {
    const manager = await connected()
    const state = makeState()
    const outcome = await loseAnswerOf(
      () => manager.createSession(state, { ifAbsent: true }),
      () => stored(state.session_id),
    )
    expect(outcome).toBe('done')
    expect((await stored(state.session_id)).version).toBe(1)
  })

  test.each([
    ['read', async (id) => JSON.parse(await redis.get(`session:${id}`))],
    ['made', async (_id, state) => state],
  ])(
    'a create is not repeated over an update of the state that its writer %s',
    async (_how, from) => {
      const manager = await connected()
      const other = manage(server.url)
      const state = makeState()
      const id = state.session_id
      const outcome = await loseAnswerOf(
        () => manager.createSession(state),
        () => stored(id),
        async () => other.updateSession(id, { ...(await from(id, state)), status: 'paused' }, 1),
      )
      expect(outcome).toBe('done')
      expect(await stored(id)).toMatchObject({ version: 2, status: 'paused' })
    },
  )

  test('a create is not repeated over a later create', async () => {
    const manager = await connected()
    const other = manage(server.url)
    const state = makeState()
    const id = state.session_id
    const outcome = await loseAnswerOf(
      () => manager.createSession(state),
      () => stored(id),
      async () => {
        await sleep(5)
        await other.createSession({ ...state, status: 'paused' })
      },
    )
    expect(outcome).toBe('done')
    expect(await stored(id)).toMatchObject({ version: 1, status: 'paused' })
  })

  test('a deletion does not end a life that began since', async () => {
    const manager = await connected()
    const other = manage(server.url)
    const state = await given()
    const id = state.session_id
    const outcome = await loseAnswerOf(
      () => manager.deleteSession(id),
      async () => (await stored(id)) === null,
      async () => {
        await sleep(5)
        await other.createSession(state)
      },
    )
    expect(outcome).toBe('done')
    expect(await stored(id)).not.toBeNull()
  })

  test('nor one whose creation was called earlier and landed later', async () => {
    const manager = await connected()
    const late = await TcpProxy.start(server.port)
    const other = await connected({}, late)
    const state = await given()
    const id = state.session_id
    const held = late.hold('EVAL')
    const waiting = other.createSession(state)
    const { release } = await held
    await sleep(5) // Its date is older than that of the deletion.
    const outcome = await loseAnswerOf(
      () => manager.deleteSession(id),
      async () => (await stored(id)) === null,
      async () => {
        release()
        await waiting
      },
    )
    await late.stop()
    expect(outcome).toBe('done')
    expect(await stored(id)).not.toBeNull()
  })

  test('a broadcast is not sent twice, and its outcome is unknown', async () => {
    const manager = await connected()
    const listener = server.client()
    const heard = []
    listener.on('pmessage', (_pattern, _channel, text) => heard.push(JSON.parse(text).message))
    await listener.psubscribe('ws:once*')
    const outcome = await loseAnswerOf(
      () => manager.broadcastToSession('once', 'lost'),
      () => heard.length > 0,
    )
    expect(outcome).toBe(OutcomeUnknownError.name)
    await manager.broadcastToSession('once', 'last')
    await until(() => heard.includes('last'))
    expect(heard).toEqual(['lost', 'last'])
  })

  test.each([
    ['an unlocked update', (manager, state) => manager.updateSession(state.session_id, state)],
    ['a locked update', (manager, state) => manager.updateSession(state.session_id, state, 1)],
  ])('%s that arrives after its own retry is not applied again', async (_what, write) => {
    const manager = await connected()
    const state = await given()
    const held = proxy.hold('EVAL')
    const update = write(manager, state)
    const { release } = await held
    await update // Given up after a stall, and retried on a connection of its own.
    release()
    await manager.getSession(state.session_id)
    await sleep(100)
    expect((await stored(state.session_id)).version).toBe(2)
  })
})

describe('the connection goes away', () => {
  test('a reset in the middle of many calls is noticed by none of them', async () => {
    const manager = await connected()
    const states = await Promise.all(Array.from({ length: 20 }, () => given()))
    for (let round = 1; round <= 3; round++) {
      const calls = states.flatMap((state) => [
        manager.updateSession(state.session_id, state, round),
        manager.getSession(state.session_id),
      ])
      setImmediate(() => proxy.reset())
      await Promise.all(calls)
      for (const { session_id } of states)
        expect((await stored(session_id)).version).toBe(round + 1)
    }
    expect(proxy.connections).toBeGreaterThan(1)
  })

  test('a blackhole of 10 s: everything settles in time, and all is well afterwards', async () => {
    const timeout = 1500
    const manager = await connected({ commandTimeoutMs: timeout })
    const { session_id: id } = await given()
    const counts = { done: 0, [OutcomeUnknownError.name]: 0, [RedisUnavailableError.name]: 0 }
    let slowest = 0
    let over = false
    const traffic = Array.from({ length: 10 }, async (_, writer) => {
      for (let n = 0; !over; n++) {
        const started = performance.now()
        const state = makeState({ session_id: id, group_id: `${writer}-${n}` })
        counts[await outcomeOf(manager.updateSession(id, state))]++
        slowest = Math.max(slowest, performance.now() - started)
        await sleep(20)
      }
    })
    await until(() => counts.done > 20)
    proxy.mode = 'blackhole'
    const before = counts.done
    await sleep(10_000)
    expect(counts.done).toBeLessThanOrEqual(before + 10)
    expect(counts.RedisUnavailableError).toBeGreaterThan(0)
    proxy.mode = 'pass'
    const during = counts.done
    await until(() => counts.done > during + 50)
    over = true
    await Promise.all(traffic)
    expect(slowest).toBeLessThan(timeout + 1000)
    const applied = (await stored(id)).version - 1
    expect(applied).toBeGreaterThanOrEqual(counts.done)
    expect(applied).toBeLessThanOrEqual(counts.done + counts.OutcomeUnknownError)
  })

  test('without a Redis from the start a call fails at its deadline, and not before', async () => {
    proxy.mode = 'refuse'
    const manager = manage(proxy.url, { commandTimeoutMs: 700 })
    const started = performance.now()
    const read = outcomeOf(manager.getSession('any'))
    const written = outcomeOf(manager.createSession(makeState()))
    expect(await Promise.all([read, written])).toEqual([
      RedisUnavailableError.name,
      RedisUnavailableError.name, // Not sent: nothing is unknown about it.
    ])
    expect(performance.now() - started).toBeGreaterThan(650)
    expect(performance.now() - started).toBeLessThan(1700)
  })

  test('a call waits for a Redis that comes up within its deadline', async () => {
    await server.kill()
    const manager = manage(server.url)
    const state = makeState()
    const created = manager.createSession(state)
    await sleep(300)
    await server.up()
    await created
    expect((await manager.getSession(state.session_id)).version).toBe(1)
  })

  test('calls go through a restart of Redis', async () => {
    const manager = manage(server.url)
    const states = await Promise.all(Array.from({ length: 20 }, () => given()))
    await manager.getSession('any')
    await server.kill()
    const calls = states.map((state) => manager.updateSession(state.session_id, state, 1))
    await sleep(200)
    await server.up()
    await Promise.all(calls)
    for (const { session_id } of states) expect((await stored(session_id)).version).toBe(2)
  })

  test('reconnecting goes on for longer than any back-off, and never ends', async () => {
    const manager = await connected({ commandTimeoutMs: 3000 })
    proxy.mode = 'refuse'
    proxy.reset()
    await until(() => proxy.connections > 1)
    await sleep(6000)
    const before = proxy.connections
    await until(() => proxy.connections > before, 2500)
    proxy.mode = 'pass'
    expect(await manager.getSession('any')).toBeNull()
  })

  test('a call that was closed upon is settled, not left', async () => {
    proxy.mode = 'refuse'
    const manager = manage(proxy.url)
    const calls = Array.from({ length: 10 }, () => outcomeOf(manager.getSession('any')))
    await until(() => proxy.connections > 0)
    await manager.close()
    expect(new Set(await Promise.all(calls))).toEqual(new Set([ClosedError.name]))
  })
})

describe('Redis changes under our feet', () => {
  test('SCRIPT FLUSH under load: no caller notices', async () => {
    const manager = await connected()
    const states = await Promise.all(Array.from({ length: 10 }, () => given()))
    let over = false
    let flushes = 0
    const flushing = (async () => {
      for (; !over; flushes++) await redis.script('FLUSH')
    })()
    await Promise.all(
      states.map(async (state) => {
        for (let version = 1; version <= 60; version++) {
          await manager.updateSession(state.session_id, state, version)
        }
      }),
    )
    over = true
    await flushing
    expect(flushes).toBeGreaterThan(10)
    for (const { session_id } of states) expect((await stored(session_id)).version).toBe(61)
  })

  test('updates wait while Redis is a replica, and are written when it no longer is', async () => {
    const manager = await connected()
    const states = await Promise.all(Array.from({ length: 10 }, () => given()))
    await redis.replicaof('127.0.0.1', 1)
    const updates = states.map((state) => manager.updateSession(state.session_id, state, 1))
    const fresh = makeState()
    const created = manager.createSession(fresh)
    let settled = 0
    for (const update of updates) update.then(() => settled++)
    await until(() => proxy.connections > 2) // It looks for another server again and again.
    expect(settled).toBe(0)
    await redis.replicaof('NO', 'ONE')
    await Promise.all([...updates, created])
    for (const { session_id } of states) expect((await stored(session_id)).version).toBe(2)
    expect((await stored(fresh.session_id)).version).toBe(1)
  })

  test('chaos: what was acknowledged was applied once, what is unknown at most once', async () => {
    const timing = { commandTimeoutMs: 2500 }
    const through = await Promise.all(Array.from({ length: 3 }, () => connected(timing)))
    const all = [...through, manage(server.url, timing)]
    const { session_id: id } = await given()
    const counts = { done: 0 }
    let over = false
    const writers = Array.from({ length: 12 }, async (_, writer) => {
      const manager = all[writer % all.length]
      for (let n = 0; !over; n++) {
        const state = makeState({ session_id: id, group_id: `${writer}-${n}` })
        const current = writer % 2 ? await manager.getSession(id).catch(() => null) : null
        const outcome = await outcomeOf(manager.updateSession(id, state, current?.version))
        counts[outcome] = (counts[outcome] ?? 0) + 1
        await sleep(Math.random() * 5)
      }
    })
    for (let round = 0; round < 25; round++) {
      await sleep(50 + Math.random() * 200)
      proxy.mode = 'swallow'
      await sleep(Math.random() * 20)
      proxy.mode = 'pass'
      proxy.reset()
    }
    over = true
    await Promise.all(writers)
    const applied = (await stored(id)).version - 1
    const unknown = counts[OutcomeUnknownError.name] ?? 0
    expect(counts.done).toBeGreaterThan(100)
    expect(applied).toBeGreaterThanOrEqual(counts.done)
    expect(applied).toBeLessThanOrEqual(counts.done + unknown)
  })
})
