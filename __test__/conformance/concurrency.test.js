'use strict'

const { ConcurrencyError } = require('../../index.js')
const { makeState } = require('../harness/sessions.js')
const { until } = require('../harness/until.js')
const { engines } = require('../harness/engines.js')

describe.each(engines)('$engine', ({ use }) => {
  const store = use()
  let manager
  beforeEach(() => {
    manager = store.open()
  })

  it('exactly one of many writers of one version wins, in one process too', async () => {
    const others = Array.from({ length: 4 }, () => store.open())
    const state = makeState()
    const id = state.session_id
    await manager.createSession(state)
    for (let version = 1; version <= 20; version++) {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 40 }, (_, writer) =>
          others[writer % 4].updateSession(id, { ...state, writer }, version),
        ),
      )
      const winners = outcomes.flatMap(({ status }, writer) =>
        status === 'fulfilled' ? writer : [],
      )
      expect(winners).toHaveLength(1)
      for (const { reason } of outcomes.filter(({ status }) => status === 'rejected')) {
        expect(reason).toBeInstanceOf(ConcurrencyError)
        expect(reason).toMatchObject({ expectedVersion: version, actualVersion: version + 1 })
      }
      const read = await manager.getSession(id)
      expect(read).toMatchObject({ version: version + 1, writer: winners[0] })
    }
  })

  it('unlocked writers never take a version twice, nor back', async () => {
    const others = Array.from({ length: 4 }, () => store.open())
    const state = makeState()
    const id = state.session_id
    const versions = []
    manager.subscribeToUpdates((heard, { version }) => heard === id && versions.push(version))
    await manager.subscribed()
    await manager.createSession(state)
    await Promise.all(
      Array.from({ length: 400 }, (_, writer) => others[writer % 4].updateSession(id, state)),
    )
    expect((await manager.getSession(id)).version).toBe(401)
    await manager.updateSession(id, state)
    await until(() => versions.length === 402)
    expect(versions).toEqual(Array.from({ length: 402 }, (_, index) => index + 1))
  })

  it('of many creations with ifAbsent exactly one succeeds', async () => {
    const others = Array.from({ length: 4 }, () => store.open())
    const state = makeState()
    const outcomes = await Promise.allSettled(
      Array.from({ length: 40 }, (_, writer) =>
        others[writer % 4].createSession({ ...state, writer }, { ifAbsent: true }),
      ),
    )
    const winners = outcomes.flatMap(({ status }, writer) => (status === 'fulfilled' ? writer : []))
    expect(winners).toHaveLength(1)
    expect((await manager.getSession(state.session_id)).writer).toBe(winners[0])
    for (const { reason } of outcomes) {
      if (reason) expect(reason).toMatchObject({ code: 'SESSION_EXISTS' })
    }
  })

  it('modifySession of many at once counts each, where retries allow', async () => {
    const state = makeState({ count: 0 })
    await manager.createSession(state)
    const add = (current) => ({ ...current, count: current.count + 1 })
    await Promise.all(
      Array.from({ length: 20 }, () =>
        manager.modifySession(state.session_id, add, { retries: 100 }),
      ),
    )
    expect(await manager.getSession(state.session_id)).toMatchObject({ count: 20, version: 21 })
  })

  it('a read sees a write that was called before it and is not awaited', async () => {
    for (let round = 0; round < 50; round++) {
      const state = makeState()
      const writes = [manager.createSession(state)]
      const created = manager.getSession(state.session_id)
      writes.push(manager.updateSession(state.session_id, { ...state, total_time_ms: 1 }, 1))
      const updated = manager.getSession(state.session_id)
      writes.push(manager.deleteSession(state.session_id))
      const deleted = manager.getSession(state.session_id)
      await Promise.all(writes)
      expect(await created).toMatchObject({ version: 1 })
      expect(await updated).toMatchObject({ version: 2, total_time_ms: 1 })
      expect(await deleted).toBeNull()
    }
  })

  it('thousands of calls in flight are each answered with their own', async () => {
    const states = Array.from({ length: 300 }, () => makeState())
    await Promise.all(states.map((state) => manager.createSession(state)))
    const ids = Array.from({ length: 5000 }, (_, index) => states[(index * 7) % 300].session_id)
    const read = await Promise.all(ids.map((id) => manager.getSession(id)))
    expect(read.map(({ session_id }) => session_id)).toEqual(ids)
    await Promise.all(
      states.map((state) => manager.updateSession(state.session_id, { ...state, mine: true }, 1)),
    )
    const updated = await manager.getSessions(states.map(({ session_id }) => session_id))
    expect(updated.every(({ version, mine }) => version === 2 && mine)).toBe(true)
  })
})
