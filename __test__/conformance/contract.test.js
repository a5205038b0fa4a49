'use strict'

const {
  ConcurrencyError,
  SessionExistsError,
  SessionNotFoundError,
  StateError,
  SyncMode,
  SyncStatus,
} = require('../..')
const { recordingLogger } = require('../harness/recording-logger.js')
const { refusalOf } = require('../harness/refusal.js')
const { createdBy, makeState } = require('../harness/sessions.js')
const { until } = require('../harness/until.js')
const { engines } = require('../harness/engines.js')

describe.each(engines)('$engine', ({ use }) => {
  const store = use()

  let manager
  beforeEach(() => {
    manager = store.open()
  })

  const stored = (id) => manager.getSession(id)
  const created = (overrides) => createdBy(manager, overrides)

  describe('getSession', () => {
    it('resolves to null where there is no such session', async () => {
      expect(await manager.getSession('nobody')).toBeNull()
    })

    it('resolves to the state that was created, with fields of the caller and dates', async () => {
      const started = new Date('2026-01-02T03:04:05.006Z')
      const state = makeState({ session_started_at: started, group_id: 'g', nested: { a: [] } })
      await manager.createSession(state)
      const read = await manager.getSession(state.session_id)
      const { created_at, updated_at } = read
      expect(read).toEqual({ ...state, version: 1, created_at, updated_at })
      expect(read.session_started_at).toBeInstanceOf(Date)
      expect(read.created_at).toBeInstanceOf(Date)
    })

    it('gives an object of its own each time', async () => {
      const one = await created()
      one.participants.length = 0
      expect((await manager.getSession(one.session_id)).participants).toHaveLength(2)
    })
  })

  describe('createSession', () => {
    it('resolves to nothing, sets version 1 and both dates', async () => {
      const state = makeState({ version: 41 })
      const before = Date.now()
      expect(await manager.createSession(state)).toBeUndefined()
      const read = await manager.getSession(state.session_id)
      expect(read.version).toBe(1)
      expect(read.created_at.getTime()).toBeGreaterThanOrEqual(before)
      expect(read.created_at.getTime()).toBeLessThanOrEqual(Date.now())
      expect(read.updated_at).toEqual(read.created_at)
    })

    it('publishes the state that it stored', async () => {
      const heard = await store.listen()
      const state = makeState()
      await manager.createSession(state)
      await until(() => heard.length === 1)
      expect(heard).toEqual([[state.session_id, await stored(state.session_id)]])
    })

    it('overwrites a session, whose life starts again at version 1', async () => {
      const old = await created({ increment_ms: 1 })
      await manager.updateSession(old.session_id, old)
      await manager.createSession({ ...old, increment_ms: 2 })
      expect(await manager.getSession(old.session_id)).toMatchObject({
        version: 1,
        increment_ms: 2,
      })
    })

    it('refuses with ifAbsent where there is a session, and leaves that one alone', async () => {
      const old = await created({ increment_ms: 1 })
      const heard = await store.listen()
      const error = await refusalOf(() =>
        manager.createSession({ ...old, increment_ms: 2 }, { ifAbsent: true }),
      )
      expect(error).toBeInstanceOf(SessionExistsError)
      expect(error).toMatchObject({ code: 'SESSION_EXISTS', sessionId: old.session_id })
      expect(await manager.getSession(old.session_id)).toEqual(old)
      await manager.deleteSession(old.session_id)
      await until(() => heard.length > 0)
      expect(heard[0][1]).toBeNull()
    })

    it('creates with ifAbsent where there is none', async () => {
      const state = makeState({ version: 9 })
      await manager.createSession(state, { ifAbsent: true })
      expect((await stored(state.session_id)).version).toBe(1)
    })

    it('takes the enums, which are real at run time', async () => {
      for (const sync_mode of Object.values(SyncMode)) {
        for (const status of Object.values(SyncStatus)) {
          const state = makeState({ sync_mode, status })
          await manager.createSession(state)
          expect(await stored(state.session_id)).toMatchObject({ sync_mode, status })
        }
      }
      expect(Object.values(SyncMode)).toHaveLength(5)
      expect(Object.values(SyncStatus)).toHaveLength(6)
    })

    it("leaves the caller's object as it was", async () => {
      const state = makeState({ version: 7, at: new Date(0) })
      const copy = structuredClone(state)
      await manager.createSession(state)
      expect(state).toStrictEqual(copy)
    })
  })

  describe('updateSession', () => {
    it('with the stored version writes that version + 1 and the time of the change', async () => {
      const state = await created()
      const before = Date.now()
      const next = { ...state, status: SyncStatus.RUNNING }
      expect(await manager.updateSession(state.session_id, next, 1)).toBeUndefined()
      const read = await manager.getSession(state.session_id)
      expect(read).toEqual({ ...next, version: 2, updated_at: read.updated_at })
      expect(read.updated_at.getTime()).toBeGreaterThanOrEqual(before)
      expect(read.created_at).toEqual(state.created_at)
    })

    it.each([
      ['locked', (version) => version],
      ['unlocked', () => undefined],
    ])('publishes what it stored (%s)', async (_name, expected) => {
      const state = await created()
      const heard = await store.listen()
      await manager.updateSession(state.session_id, state, expected(state.version))
      await until(() => heard.length === 1)
      expect(heard).toEqual([[state.session_id, await stored(state.session_id)]])
    })

    it('ignores the version in the state where one is expected', async () => {
      const state = await created()
      await manager.updateSession(state.session_id, { ...state, version: 500 }, 1)
      expect((await stored(state.session_id)).version).toBe(2)
    })

    it('without an expected version writes stored version + 1, whatever the caller has', async () => {
      const state = await created()
      for (let version = 2; version <= 4; version++) {
        await manager.updateSession(state.session_id, { ...state, version: 1 })
        expect((await stored(state.session_id)).version).toBe(version)
      }
      await manager.updateSession(state.session_id, { ...state, version: 1000 })
      expect((await stored(state.session_id)).version).toBe(5)
    })

    it('without an expected version writes passed version + 1 where nothing is stored', async () => {
      const state = makeState({ version: 7 })
      await manager.updateSession(state.session_id, state)
      expect((await stored(state.session_id)).version).toBe(8)
      const { version: _, ...unversioned } = makeState()
      await manager.updateSession(unversioned.session_id, unversioned)
      expect((await stored(unversioned.session_id)).version).toBe(1)
    })

    it('with an expected version refuses where nothing is stored, and stores nothing', async () => {
      const state = makeState()
      const error = await refusalOf(() => manager.updateSession(state.session_id, state, 1))
      expect(error).toBeInstanceOf(SessionNotFoundError)
      expect(error).toMatchObject({
        name: 'SessionNotFoundError',
        code: 'SESSION_NOT_FOUND',
        sessionId: state.session_id,
        message: `Session ${state.session_id} not found`,
      })
      expect(await stored(state.session_id)).toBeNull()
    })

    it.each([1, 3])('with the wrong version %i refuses, and changes nothing', async (expected) => {
      const state = await created()
      const id = state.session_id
      await manager.updateSession(id, state, 1)
      const before = await stored(id)
      const heard = await store.listen()
      const error = await refusalOf(() => manager.updateSession(id, state, expected))
      expect(error).toBeInstanceOf(ConcurrencyError)
      expect(error).toMatchObject({
        name: 'ConcurrencyError',
        code: 'CONCURRENT_MODIFICATION',
        sessionId: id,
        expectedVersion: expected,
        actualVersion: 2,
        message: `Concurrent modification detected on session ${id}: expected version ${expected}, found 2`,
      })
      expect(await stored(id)).toEqual(before)
      await manager.deleteSession(id)
      await until(() => heard.length > 0)
      expect(heard[0][1]).toBeNull()
    })

    it("leaves the caller's object as it was", async () => {
      const state = await created()
      const copy = structuredClone(state)
      await manager.updateSession(state.session_id, state, 1)
      await manager.updateSession(state.session_id, state)
      expect(state).toStrictEqual(copy)
    })

    it('takes a state that the caller got, changed and passes back', async () => {
      const state = await created()
      state.status = SyncStatus.RUNNING
      state.participants[1].is_active = true
      state.session_started_at = new Date(5)
      await manager.updateSession(state.session_id, state, state.version)
      const read = await manager.getSession(state.session_id)
      expect(read).toEqual({ ...state, version: 2, updated_at: read.updated_at })
    })
  })

  describe('deleteSession', () => {
    it('deletes the session and publishes that', async () => {
      const state = await created()
      const heard = await store.listen()
      expect(await manager.deleteSession(state.session_id)).toBeUndefined()
      expect(await stored(state.session_id)).toBeNull()
      await until(() => heard.length === 1)
      expect(heard).toEqual([[state.session_id, null]])
    })

    it('resolves for a session that does not exist, and publishes all the same', async () => {
      const heard = await store.listen()
      expect(await manager.deleteSession('nobody')).toBeUndefined()
      await until(() => heard.length === 1)
      expect(heard).toEqual([['nobody', null]])
    })
  })

  describe('touchSession', () => {
    it('changes nothing, and says true', async () => {
      const state = await created()
      expect(await manager.touchSession(state.session_id)).toBe(true)
      expect(await manager.getSession(state.session_id)).toEqual(state)
    })

    it('says false where there is no such session', async () => {
      expect(await manager.touchSession('nobody')).toBe(false)
      expect(await stored('nobody')).toBeNull()
    })
  })

  describe('getSessions', () => {
    it('resolves to the states in the order of the ids, null where there is none', async () => {
      const [a, b] = [await created(), await created()]
      const ids = [b.session_id, 'nobody', a.session_id, b.session_id]
      expect(await manager.getSessions(ids)).toEqual([b, null, a, b])
    })

    it('resolves to an empty list for an empty list', async () => {
      expect(await manager.getSessions([])).toEqual([])
    })
  })

  describe('subscriptions', () => {
    it('bring creations, updates and deletions, with their states', async () => {
      const heard = []
      manager.subscribeToUpdates((id, state) => heard.push([id, state]))
      await manager.subscribed()
      const one = await created()
      const id = one.session_id
      const two = await manager.modifySession(id, (state) => ({ ...state, status: 'running' }))
      await manager.deleteSession(id)
      await until(() => heard.length === 3)
      expect(heard).toEqual([
        [id, one],
        [id, two],
        [id, null],
      ])
    })

    it('bring broadcasts to every manager, with the id from the channel', async () => {
      const heard = []
      const other = store.open()
      for (const one of [manager, other]) {
        one.subscribeToWebSocket((id, message) => heard.push([id, message]))
        await one.subscribed()
      }
      const message = { type: 'TIMER_TICK', timeRemaining: 295_000, at: '2026-01-01T00:00:00.000Z' }
      expect(await manager.broadcastToSession('a:b', message)).toBeUndefined()
      for (const plain of ['text', 0, null, [], false]) await other.broadcastToSession('c', plain)
      await until(() => heard.length === 12)
      for (const each of [
        ['a:b', message],
        ['c', 'text'],
        ['c', 0],
        ['c', null],
        ['c', []],
      ]) {
        expect(heard).toContainEqual(each)
      }
      expect(heard.filter(([id]) => id === 'a:b')).toHaveLength(2)
    })

    it.each([
      ['subscribeToUpdates', () => manager.deleteSession('x')],
      ['subscribeToWebSocket', () => manager.broadcastToSession('x', 1)],
    ])('%s returns a function that ends that one callback', async (method, send) => {
      const [one, two] = [jest.fn(), jest.fn()]
      const end = manager[method](one)
      manager[method](two)
      await manager.subscribed()
      await send()
      await until(() => two.mock.calls.length === 1)
      end()
      end()
      await send()
      await until(() => two.mock.calls.length === 2)
      expect(one).toHaveBeenCalledTimes(1)
    })

    it('go on after a callback that throws or rejects, which is reported', async () => {
      const logger = recordingLogger()
      const own = store.open({ logger })
      const [thrown, rejected] = [new Error('thrown'), new Error('rejected')]
      own.subscribeToUpdates(() => {
        throw thrown
      })
      own.subscribeToUpdates(() => Promise.reject(rejected))
      const heard = jest.fn()
      own.subscribeToUpdates(heard)
      await own.subscribed()
      await own.deleteSession('x')
      await own.deleteSession('y')
      await until(() => heard.mock.calls.length === 2 && logger.entries.length === 4)
      expect(heard.mock.calls).toEqual([
        ['x', null],
        ['y', null],
      ])
      expect(logger.entries.filter(([level]) => level === 'error')).toHaveLength(4)
      expect(new Set(logger.entries.map(([, { err }]) => err))).toEqual(new Set([thrown, rejected]))
    })
  })

  describe('errors', () => {
    /** Each made by another way: in JavaScript, in the core, by the engine. */
    const refusals = [
      ['bad input', async () => await manager.getSession('')],
      ['bad input found in JavaScript', async () => await manager.getSession(5)],
      [
        'no such session',
        async () => await manager.updateSession('x', makeState({ session_id: 'x' }), 1),
      ],
      ['no session to modify', async () => await manager.modifySession('nobody', (state) => state)],
      ['no subscription', async () => manager.subscribeToUpdates()],
    ]

    it.each(refusals)(
      "are StateErrors, and their stack names the caller's line: %s",
      async (_name, call) => {
        const error = await refusalOf(call)
        expect(error).toBeInstanceOf(StateError)
        expect(error).toBeInstanceOf(Error)
        expect(error.name).toBe(error.constructor.name)
        expect(error.stack).toContain('contract.test.js')
        expect(error.stack).toContain(error.message)
      },
    )
  })
})
