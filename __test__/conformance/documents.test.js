'use strict'

const fc = require('fast-check')
const {
  HARD_OBJECTS,
  document,
  expectSame,
  expected,
  toObject,
} = require('../harness/documents.js')
const { engines } = require('../harness/engines.js')
const { makeState } = require('../harness/sessions.js')
const { until } = require('../harness/until.js')

describe.each(engines)('$engine', ({ use }) => {
  const store = use()
  let manager
  beforeEach(() => {
    manager = store.open()
  })

  describe('any document', () => {
    it('comes back as JSON gives it, with dates, by getSession and by subscription', async () => {
      const heard = new Map()
      manager.subscribeToUpdates((id, state) => heard.set(id, state))
      await manager.subscribed()
      await fc.assert(
        fc.asyncProperty(document, document, async (first, second) => {
          const id = first.session_id
          await manager.createSession(first)
          const one = await manager.getSession(id)
          const { created_at, updated_at } = one
          expectSame(one, expected(first, { version: 1, created_at, updated_at }))
          expect(created_at).toBeInstanceOf(Date)

          const next = toObject([...Object.entries(second), ['session_id', id]])
          await manager.updateSession(id, next, 1)
          const two = await manager.getSession(id)
          expectSame(two, expected(next, { version: 2, updated_at: two.updated_at }))

          // Read and written back, nothing is lost and nothing changes once more.
          await manager.updateSession(id, two)
          const three = await manager.getSession(id)
          expectSame(three, { ...two, version: 3, updated_at: three.updated_at })
          await until(() => heard.get(id)?.version === 3)
          expectSame(heard.get(id), three)
          expectSame((await manager.getSessions([id]))[0], three)
        }),
        { numRuns: 300 },
      )
    }, 60_000)
  })

  it('that was read is its reader’s own: what becomes of it, no later read sees', async () => {
    const state = makeState({ own: { list: [{ at: new Date(5) }] } })
    await manager.createSession(state)
    const { session_id: id } = state
    const [fresh] = await manager.getSessions([id])
    for (let reads = 0; reads < 4; reads++) {
      const read = await manager.getSession(id)
      expectSame(read, fresh)
      read.participants[0].time_used_ms = -1
      read.own.list[0].at.setTime(0)
      read.own.list.push(read.created_at)
      read.created_at.setTime(1)
      delete read.status
    }
    await manager.updateSession(id, fresh, 1)
    const { version, updated_at } = await manager.getSession(id)
    expectSame(await manager.getSession(id), { ...fresh, version: 2, updated_at })
    expect(version).toBe(2)
  })

  describe('a document with', () => {
    it('a version inside participants keeps those, whatever is written', async () => {
      const participants = [{ version: 7, x: { version: '8' } }, { version: null }]
      const state = makeState({ participants, group: { version: 9 } })
      await manager.createSession(state)
      await manager.updateSession(state.session_id, state, 1)
      const read = await manager.getSession(state.session_id)
      expect(read).toMatchObject({ version: 2, participants, group: { version: 9 } })
    })

    it.each(HARD_OBJECTS)('%s comes back unchanged by each way to read', async (_what, json) => {
      const state = makeState({ participants: [JSON.parse(json)], extra: JSON.parse(json) })
      const id = state.session_id
      const heard = await store.listen()
      await manager.createSession(state)
      const read = await manager.getSession(id)
      const { created_at, updated_at } = read
      expectSame(read, expected(state, { version: 1, created_at, updated_at }))
      expectSame(await manager.getSessions([id]), [read])
      expectSame(await manager.modifySession(id, () => undefined), read)
      await until(() => heard.length === 1)
      expectSame(heard, [[id, read]])
    })

    it('a version near 2^53 is counted as far as JavaScript counts', async () => {
      const state = makeState({ version: Number.MAX_SAFE_INTEGER - 2 })
      const id = state.session_id
      await manager.updateSession(id, state)
      expect(await manager.getSession(id)).toMatchObject({ version: Number.MAX_SAFE_INTEGER - 1 })
      await manager.updateSession(id, state, Number.MAX_SAFE_INTEGER - 1)
      expect(await manager.getSession(id)).toMatchObject({ version: Number.MAX_SAFE_INTEGER })
    })
  })

  it('documents of all lengths are read together, each as it was written', async () => {
    const lengths = [0, 5_000, 40_000, 1, 300_000, 70_000, 100, 260_000, 31_000]
    const ids = []
    for (const length of lengths) {
      const state = makeState({ blob: 'é'.repeat(length) })
      await manager.createSession(state)
      ids.push(state.session_id)
    }
    const read = await Promise.all(ids.map((id) => manager.getSession(id)))
    expect(read.map(({ blob }) => blob.length)).toEqual(lengths)
    expect(await manager.getSessions(['none', ...ids])).toEqual([null, ...read])
  })
})
