'use strict'

const { ConcurrencyError, OutcomeUnknownError, RedisUnavailableError } = require('..')
const { Outage, outcomeOf } = require('./harness/outage.js')
const { TcpProxy } = require('./harness/proxy.js')
const { makeState } = require('./harness/sessions.js')
const { sleep, until } = require('./harness/until.js')

const outage = Outage.use()

/**
 * Calls, lets it land, loses its answer. What happens `before` is before the connection is lost,
 * what happens `meanwhile` is before the retry.
 */
async function loseAnswerOf(call, landed, meanwhile = async () => {}, before = async () => {}) {
  outage.proxy.mode = 'swallow'
  const outcome = outcomeOf(call())
  await until(landed)
  await before()
  outage.proxy.mode = 'refuse'
  outage.proxy.reset()
  await meanwhile()
  outage.proxy.mode = 'pass'
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
    const state = await outage.given()
    const calls = await Promise.all(
      Object.entries(METHODS).map(async ([name, method]) => {
        const manager = await outage.connected({ commandTimeoutMs: timeout })
        return [name, () => method(manager, state)]
      }),
    )
    outage.proxy.mode = 'swallow'
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
    const manager = await outage.connected({ commandTimeoutMs: 800 })
    const states = Array.from({ length: 500 }, () => makeState())
    outage.proxy.mode = 'swallow'
    const started = performance.now()
    const outcomes = await Promise.all(
      states.map((state) => outcomeOf(manager.createSession(state))),
    )
    expect(performance.now() - started).toBeLessThan(1800)
    expect(outcomes).toContain(OutcomeUnknownError.name)
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome === OutcomeUnknownError.name) continue
      expect(outcome).toBe(RedisUnavailableError.name)
      expect(await outage.stored(states[index].session_id)).toBeNull()
    }
  })

  test.each([
    ['unlocked', undefined],
    ['locked', 1],
  ])('an %s update whose answer was lost counts once', async (_kind, expected) => {
    const manager = await outage.connected()
    const state = await outage.given()
    const id = state.session_id
    const listener = outage.server.client()
    const heard = []
    listener.on('message', (_channel, text) => {
      if (JSON.parse(text).sessionId === id) heard.push(text)
    })
    await listener.subscribe('session-updates')
    const outcome = await loseAnswerOf(
      () => manager.updateSession(id, { ...state, status: 'running' }, expected),
      async () => (await outage.stored(id)).version > 1,
    )
    expect(outcome).toBe('done')
    expect(await outage.stored(id)).toMatchObject({ version: 2, status: 'running' })
    await manager.updateSession(id, { ...state, status: 'paused' })
    await until(() => heard.some((text) => text.includes('paused')))
    expect(heard).toHaveLength(2)
  })

  test('a connection that stopped answering is replaced within the deadline', async () => {
    const manager = await outage.connected()
    const state = await outage.given()
    outage.proxy.mode = 'swallow'
    const update = manager.updateSession(state.session_id, state)
    await until(async () => (await outage.stored(state.session_id)).version === 2)
    outage.proxy.mode = 'pass' // The connection stays, and stays deaf.
    await update
    expect((await outage.stored(state.session_id)).version).toBe(2)
  })

  test('updates of one state by many callers, their answers lost, count once each', async () => {
    const manager = await outage.connected()
    const state = await outage.given()
    const id = state.session_id
    const outcomes = await loseAnswerOf(
      () => Promise.all(Array.from({ length: 100 }, () => manager.updateSession(id, state))),
      async () => (await outage.stored(id)).version > 1,
    )
    expect(outcomes).toBe('done')
    expect((await outage.stored(id)).version).toBe(101) // Some landed, some were not even sent.
  })

  test('of identical locked updates at one moment only one wins, answers lost or not', async () => {
    jest.spyOn(Date, 'now').mockReturnValue(Date.now())
    const manager = await outage.connected()
    const state = await outage.given()
    const id = state.session_id
    let outcomes = []
    await loseAnswerOf(
      async () => {
        const calls = Array.from({ length: 10 }, () => manager.updateSession(id, state, 1))
        outcomes = await Promise.all(calls.map(outcomeOf))
      },
      async () => (await outage.stored(id)).version > 1,
    )
    expect((await outage.stored(id)).version).toBe(2)
    expect(outcomes.filter((outcome) => outcome === 'done').length).toBeLessThanOrEqual(1)
    // Whoever is told of a conflict is told the truth; the rest cannot know.
    const rest = outcomes.filter((outcome) => outcome !== 'done')
    for (const name of rest)
      expect([ConcurrencyError.name, OutcomeUnknownError.name]).toContain(name)
  })

  test('an update that was lost is not taken for an identical one that landed', async () => {
    jest.spyOn(Date, 'now').mockReturnValue(Date.now())
    const manager = await outage.connected()
    const state = await outage.given()
    const id = state.session_id
    let second
    const first = await loseAnswerOf(
      () => manager.updateSession(id, state),
      async () => (await outage.stored(id)).version === 2,
      async () => {
        second = outcomeOf(manager.updateSession(id, state)) // It waits for the first.
      },
    )
    expect([first, await second]).toEqual(['done', 'done'])
    expect((await outage.stored(id)).version).toBe(3)
  })

  test('a locked update that others have overtaken is done, and no conflict', async () => {
    const manager = await outage.connected()
    const other = outage.manage(outage.server.url)
    const state = await outage.given()
    const id = state.session_id
    const outcome = await loseAnswerOf(
      () => manager.updateSession(id, { ...state, status: 'running' }, 1),
      async () => (await outage.stored(id)).version === 2,
      () => other.updateSession(id, { ...state, status: 'paused' }, 2),
    )
    expect(outcome).toBe('done')
    expect(await outage.stored(id)).toMatchObject({ version: 3, status: 'paused' })
  })

  test('an unlocked update is not repeated over a write that was called later', async () => {
    const manager = await outage.connected()
    const other = outage.manage(outage.server.url)
    const state = await outage.given()
    const id = state.session_id
    const outcome = await loseAnswerOf(
      () => manager.updateSession(id, { ...state, status: 'running' }),
      async () => (await outage.stored(id)).version === 2,
      () => other.updateSession(id, { ...state, status: 'paused' }),
    )
    expect(outcome).toBe('done')
    expect(await outage.stored(id)).toMatchObject({ version: 3, status: 'paused' })
  })

  test('nor over a write that was called earlier and landed later', async () => {
    const manager = await outage.connected()
    const late = await TcpProxy.start(outage.server.port)
    const other = await outage.connected({}, late)
    const state = await outage.given()
    const id = state.session_id
    const held = late.hold('EVAL')
    const waiting = other.updateSession(id, { ...state, status: 'paused' })
    const { release } = await held
    await sleep(5) // Its date is older than that of the next.
    const outcome = await loseAnswerOf(
      () => manager.updateSession(id, { ...state, status: 'running' }),
      async () => (await outage.stored(id)).version === 2,
      async () => {
        release()
        await waiting
      },
    )
    await late.stop()
    expect(outcome).toBe('done')
    expect(await outage.stored(id)).toMatchObject({ version: 3, status: 'paused' })
  })

  test('an unlocked update is not repeated over the deletion of its session', async () => {
    const manager = await outage.connected()
    const other = outage.manage(outage.server.url)
    const state = await outage.given()
    const id = state.session_id
    const outcome = await loseAnswerOf(
      () => manager.updateSession(id, state),
      async () => (await outage.stored(id)).version === 2,
      () => other.deleteSession(id),
    )
    expect(outcome).toBe('done')
    expect(await outage.stored(id)).toBeNull()
  })

  test('a create whose answer was lost counts once', async () => {
    const manager = await outage.connected()
    const state = makeState()
    const outcome = await loseAnswerOf(
      () => manager.createSession(state, { ifAbsent: true }),
      () => outage.stored(state.session_id),
    )
    expect(outcome).toBe('done')
    expect((await outage.stored(state.session_id)).version).toBe(1)
  })

  test.each([
    ['read', async (id) => JSON.parse(await outage.redis.get(`session:${id}`))],
    ['made', async (_id, state) => state],
  ])(
    'a create is not repeated over an update of the state that its writer %s',
    async (_how, from) => {
      const manager = await outage.connected()
      const other = outage.manage(outage.server.url)
      const state = makeState()
      const id = state.session_id
      const outcome = await loseAnswerOf(
        () => manager.createSession(state),
        () => outage.stored(id),
        async () => other.updateSession(id, { ...(await from(id, state)), status: 'paused' }, 1),
      )
      expect(outcome).toBe('done')
      expect(await outage.stored(id)).toMatchObject({ version: 2, status: 'paused' })
    },
  )

  test('a create is not repeated over a later create', async () => {
    const manager = await outage.connected()
    const other = outage.manage(outage.server.url)
    const state = makeState()
    const id = state.session_id
    const outcome = await loseAnswerOf(
      () => manager.createSession(state),
      () => outage.stored(id),
      async () => {
        await sleep(5)
        await other.createSession({ ...state, status: 'paused' })
      },
    )
    expect(outcome).toBe('done')
    expect(await outage.stored(id)).toMatchObject({ version: 1, status: 'paused' })
  })

  test('a deletion does not end a life that began since', async () => {
    const manager = await outage.connected()
    const other = outage.manage(outage.server.url)
    const state = await outage.given()
    const id = state.session_id
    const outcome = await loseAnswerOf(
      () => manager.deleteSession(id),
      async () => (await outage.stored(id)) === null,
      async () => {
        await sleep(5)
        await other.createSession(state)
      },
    )
    expect(outcome).toBe('done')
    expect(await outage.stored(id)).not.toBeNull()
  })

  test('nor one whose creation was called earlier and landed later', async () => {
    const manager = await outage.connected()
    const late = await TcpProxy.start(outage.server.port)
    const other = await outage.connected({}, late)
    const state = await outage.given()
    const id = state.session_id
    const held = late.hold('EVAL')
    const waiting = other.createSession(state)
    const { release } = await held
    await sleep(5) // Its date is older than that of the deletion.
    const outcome = await loseAnswerOf(
      () => manager.deleteSession(id),
      async () => (await outage.stored(id)) === null,
      async () => {
        release()
        await waiting
      },
    )
    await late.stop()
    expect(outcome).toBe('done')
    expect(await outage.stored(id)).not.toBeNull()
  })

  test('a broadcast is not sent twice, and its outcome is unknown', async () => {
    const manager = await outage.connected()
    const listener = outage.server.client()
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
    const manager = await outage.connected()
    const state = await outage.given()
    const held = outage.proxy.hold('EVAL')
    const update = write(manager, state)
    const { release } = await held
    await update // Given up after a stall, and retried on a connection of its own.
    release()
    await manager.getSession(state.session_id)
    await sleep(100)
    expect((await outage.stored(state.session_id)).version).toBe(2)
  })

  test.each([
    ['the next version', (manager, state) => manager.updateSession(state.session_id, state, 2), 3],
    ['the next life', (manager, state) => manager.createSession(state), 1],
  ])('a locked update that arrives after its own retry does no harm to %s', async (...args) => {
    const [, write, version] = args
    const manager = await outage.connected()
    const state = await outage.given()
    const held = outage.proxy.hold(state.session_id)
    const update = manager.updateSession(state.session_id, { ...state, total_time_ms: 7 }, 1)
    const { release } = await held
    await update
    await write(manager, { ...state, total_time_ms: 8 })
    release()
    await outage.redis.ping()
    await sleep(100)
    expect(await outage.stored(state.session_id)).toMatchObject({ version, total_time_ms: 8 })
  })
})

test('what a connection notes about its writes expires, also when its first write is refused', async () => {
  const manager = await outage.connected()
  const state = await outage.given()
  await outcomeOf(manager.updateSession(state.session_id, state, 7))
  await manager.updateSession(state.session_id, state, 1)
  const ledgers = await outage.redis.keys('synckairos:ledger:*')
  const ttls = await Promise.all(ledgers.map((key) => outage.redis.ttl(key)))
  expect(ttls.length).toBeGreaterThan(0)
  expect(Math.min(...ttls)).toBeGreaterThan(0)
})
