'use strict'

const { Managers } = require('../harness/managers.js')
const { engines } = require('../harness/engines.js')
const { makeState } = require('../harness/sessions.js')
const { outcomeOf } = require('../harness/outage.js')

describe.each(engines)('$engine', ({ use }) => {
  const store = use()

  const METHODS = {
    getSession: (manager, { session_id: id }) => manager.getSession(id),
    getSessions: (manager, { session_id: id }) => manager.getSessions([id, 'nobody']),
    createSession: (manager) => manager.createSession(makeState()),
    updateSession: (manager, state) => manager.updateSession(state.session_id, state, 1),
    modifySession: (manager, { session_id: id }) => manager.modifySession(id, (state) => state),
    deleteSession: (manager) => manager.deleteSession('nobody'),
    touchSession: (manager, { session_id: id }) => manager.touchSession(id),
    broadcastToSession: (manager, { session_id: id }) => manager.broadcastToSession(id, 1),
  }
  const NAMES = Object.keys(METHODS)

  const REFUSED = {
    getSession: (manager) => manager.getSession(''),
    getSessions: (manager) => manager.getSessions('no list'),
    createSession: (manager) => manager.createSession(null),
    updateSession: (manager) => manager.updateSession('a', makeState(), -1),
    modifySession: (manager) => manager.modifySession('a', 'no function'),
    deleteSession: (manager) => manager.deleteSession(1),
    touchSession: (manager) => manager.touchSession(undefined),
    broadcastToSession: (manager) => manager.broadcastToSession('a', undefined),
  }

  /** A session of another manager's, which counts for itself. */
  async function given() {
    const state = makeState()
    await store.open().createSession(state)
    return state
  }

  /** The calls of the methods that were called at all. */
  const counted = (manager) =>
    Object.fromEntries(
      Object.entries(manager.metrics().calls).filter(([, outcomes]) =>
        Object.values(outcomes).some((count) => count > 0),
      ),
    )

  const total = ({ buckets }) => buckets.reduce((sum, count) => sum + count, 0)

  it('has every method, and counts nothing before there is a call', () => {
    const { calls, durations, ...numbers } = store.open().metrics()
    expect(calls).toEqual(Object.fromEntries(NAMES.map((name) => [name, { ok: 0 }])))
    const none = { buckets: Array(10).fill(0), sum: 0, count: 0 }
    expect(durations).toEqual(Object.fromEntries(NAMES.map((name) => [name, none])))
    expect(numbers).toEqual({
      inFlight: 0,
      conflicts: 0,
      retries: 0,
      reconnects: 0,
      gaps: 0,
      cacheHits: 0,
      cacheMisses: 0,
      callbacksBehind: 0,
      callbacksBehindBytes: 0,
    })
  })

  it.each(NAMES)('counts a call of %s once, and how long it took', async (name) => {
    const manager = store.open()
    const state = await given()
    const began = performance.now()
    await METHODS[name](manager, state)
    const seconds = (performance.now() - began) / 1000
    expect(counted(manager)).toEqual({ [name]: { ok: 1 } })
    const { durations } = manager.metrics()
    expect(durations[name]).toMatchObject({ count: 1 })
    expect(durations[name].sum).toBeGreaterThan(0)
    expect(durations[name].sum).toBeLessThanOrEqual(seconds)
    expect(total(durations[name])).toBe(1)
  })

  it.each(NAMES)('counts a call of %s that is refused before it is sent', async (name) => {
    const manager = store.open()
    await expect(REFUSED[name](manager)).rejects.toMatchObject({ code: 'INVALID_STATE' })
    expect(counted(manager)).toEqual({ [name]: { ok: 0, INVALID_STATE: 1 } })
    const duration = manager.metrics().durations[name]
    expect([duration.count, total(duration)]).toEqual([1, 1])
  })

  it.each(NAMES)('counts a call of %s after close()', async (name) => {
    const manager = store.open()
    const state = await given()
    await manager.close()
    await expect(METHODS[name](manager, state)).rejects.toMatchObject({ code: 'CLOSED' })
    expect(counted(manager)).toEqual({ [name]: { ok: 0, CLOSED: 1 } })
  })

  it('counts each outcome that the engine tells', async () => {
    const manager = store.open()
    const state = await given()
    const { session_id: id } = state
    await outcomeOf(manager.createSession(state, { ifAbsent: true }))
    await outcomeOf(manager.updateSession(id, state, 7))
    await manager.updateSession(id, state, 1)
    await outcomeOf(manager.updateSession('nobody', makeState({ session_id: 'nobody' }), 1))
    await outcomeOf(manager.modifySession('nobody', () => undefined))
    expect(counted(manager)).toEqual({
      createSession: { ok: 0, SESSION_EXISTS: 1 },
      updateSession: { ok: 1, CONCURRENT_MODIFICATION: 1, SESSION_NOT_FOUND: 1 },
      modifySession: { ok: 0, SESSION_NOT_FOUND: 1 },
    })
    expect(manager.metrics().conflicts).toBe(1)
  })

  it('counts an error of the caller as one of others', async () => {
    const manager = store.open()
    const { session_id: id } = await given()
    const fn = () => {
      throw Object.assign(new Error('mine'), { code: 'MINE' })
    }
    await expect(manager.modifySession(id, fn)).rejects.toThrow('mine')
    expect(counted(manager)).toEqual({ modifySession: { ok: 0, OTHER: 1 } })
  })

  it('counts the conflicts and retries of modifySession', async () => {
    const manager = store.open()
    const other = store.open()
    const { session_id: id } = await given()
    let left = 3
    const fn = async (state) => {
      if (left-- > 0) await other.updateSession(id, state)
      return state
    }
    await manager.modifySession(id, fn)
    expect(manager.metrics()).toMatchObject({ conflicts: 3, retries: 3 })
    left = 2
    await expect(manager.modifySession(id, fn, { retries: 1 })).rejects.toMatchObject({
      code: 'CONCURRENT_MODIFICATION',
    })
    expect(manager.metrics()).toMatchObject({ conflicts: 5, retries: 4 })
    expect(counted(manager)).toEqual({ modifySession: { ok: 1, CONCURRENT_MODIFICATION: 1 } })
  })

  it('counts many calls at once, and those that are in flight', async () => {
    const manager = store.open()
    const { session_id: id } = await given()
    const reads = Array.from({ length: 2000 }, () => manager.getSession(id))
    expect(manager.metrics()).toMatchObject({ inFlight: 2000, calls: { getSession: { ok: 0 } } })
    await Promise.all(reads)
    const { inFlight, durations } = manager.metrics()
    expect(inFlight).toBe(0)
    expect(durations.getSession.count).toBe(2000)
    expect(total(durations.getSession)).toBe(2000)
  })
})

test('an error of a caller of one manager is counted by no other', async () => {
  const managers = new Managers()
  const [one, other] = [managers.open('memory:'), managers.open('memory:')]
  await outcomeOf(one.getSession(''))
  expect(one.metrics().calls.getSession).toEqual({ ok: 0, INVALID_STATE: 1 })
  expect(other.metrics().calls.getSession).toEqual({ ok: 0 })
  await managers.close()
})
