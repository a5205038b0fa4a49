'use strict'

const {
  ConcurrencyError,
  DBWriteQueue,
  InvalidStateError,
  SessionNotFoundError,
} = require('../../index.js')
const { engines } = require('../harness/engines.js')
const { nextMillisecond } = require('../harness/session-history.js')
const { createdBy, makeState } = require('../harness/sessions.js')
const { SqliteFile } = require('../harness/sqlite.js')
const { until } = require('../harness/until.js')

describe.each(engines)('$engine', ({ use }) => {
  const store = use()
  let queue
  let manager
  beforeEach(async () => {
    const file = store.keep(new SqliteFile())
    queue = store.keep(new DBWriteQueue(store.url, { databaseUrl: file.url }))
    await queue.migrate()
    manager = store.open({ queue })
  })

  /** A session with so many versions, each of which counts one more. Resolves to the last state. */
  async function counted(versions, overrides) {
    const { session_id: id } = await createdBy(manager, { count: 1, ...overrides })
    for (let version = 1; version < versions; version++) {
      await manager.modifySession(id, (state) => ({ ...state, count: state.count + 1 }))
    }
    await queue.drained()
    return manager.getSession(id)
  }

  /** Takes sessions away as a loss of data does: without a record. */
  async function lose(...states) {
    const unaudited = store.open()
    for (const { session_id } of states) await unaudited.deleteSession(session_id)
  }

  /** What a restored state must be. */
  const restoredFrom = (state, version) => ({
    ...state,
    version,
    updated_at: expect.any(Date),
  })

  describe('restoreSession', () => {
    test('a deleted session comes back, above every version, and all are told', async () => {
      const state = await counted(3, { own: { at: new Date(5), list: [], big: 2 ** 53 - 1 } })
      const id = state.session_id
      await manager.deleteSession(id)
      await queue.drained()
      const heard = await store.listen()
      const before = Date.now()
      const restored = await manager.restoreSession(id, { actor: 'on-call', metadata: { n: 1 } })
      expect(restored).toEqual(restoredFrom(state, 4))
      expect(restored.updated_at.getTime()).toBeGreaterThanOrEqual(before)
      expect(await manager.getSession(id)).toEqual(restored)
      await until(() => heard.length > 0)
      expect(heard).toEqual([[id, restored]])
      await queue.drained()
      const [event] = await queue.history(id, { limit: 1 })
      expect(event).toMatchObject({
        eventType: 'session_restored',
        version: 4,
        actor: 'on-call',
        metadata: { n: 1, from: 3 },
      })
      expect(await queue.stateAt(id, { version: 4 })).toEqual(restored)
    })

    test('an earlier version comes back over a later one, and stale writers lose', async () => {
      const state = await counted(5)
      const id = state.session_id
      const restored = await manager.restoreSession(id, { version: 2 })
      expect(restored).toEqual(restoredFrom({ ...state, count: 2 }, 6))
      await expect(manager.updateSession(id, state, 5)).rejects.toBeInstanceOf(ConcurrencyError)
      await manager.updateSession(id, restored, 6)
      await queue.drained()
      const [, event] = await queue.history(id)
      expect(event.metadata).toEqual({ from: 2 })
      expect(event.changes).toContainEqual({ path: 'count', from: 5, to: 2 })
    })

    test('the version is above those that only one of both knows', async () => {
      const { session_id: id } = await counted(2)
      const unaudited = store.open()
      for (let n = 0; n < 3; n++) await unaudited.modifySession(id, (state) => state)
      expect((await manager.restoreSession(id)).version).toBe(6)
      await queue.drained()
      await lose({ session_id: id })
      expect((await manager.restoreSession(id)).version).toBe(7)
      // An older life had a higher version.
      await manager.createSession(makeState({ session_id: id }))
      await queue.drained()
      expect((await manager.restoreSession(id)).version).toBe(8)
    })

    test('of several lives the newest comes back', async () => {
      const state = await counted(5)
      const id = state.session_id
      await nextMillisecond()
      await manager.createSession({ ...state, count: 70 })
      await queue.drained()
      await lose(state)
      expect(await manager.restoreSession(id)).toMatchObject({ version: 6, count: 70 })
      await expect(manager.restoreSession(id, { version: 4 })).rejects.toMatchObject({
        name: 'InvalidStateError',
        field: 'version',
        sessionId: id,
      })
    })

    test('a near cache does not keep what was replaced', async () => {
      const state = await counted(3)
      const cached = store.open({ queue, cache: {} })
      for (let n = 0; n < 3; n++) await cached.getSession(state.session_id)
      const restored = await cached.restoreSession(state.session_id, { version: 1 })
      expect(await cached.getSession(state.session_id)).toEqual(restored)
    })

    test('restored among writers, a session never goes back to a lower version', async () => {
      const { session_id: id } = await counted(3)
      const versions = []
      const listener = store.open()
      listener.subscribeToUpdates((_id, state) => versions.push(state.version))
      await listener.subscribed()
      const others = [store.open({ queue }), store.open({ queue })]
      const writes = others.map(async (other) => {
        for (let n = 0; n < 20; n++) {
          await other.modifySession(id, (state) => ({ ...state, count: state.count + 1 }))
        }
      })
      const restores = [1, 2, 3, 1, 2, 3].map((version) => manager.restoreSession(id, { version }))
      const told = (await Promise.all([...restores, ...writes])).slice(0, 6)
      await until(() => versions.length === 46)
      expect(versions).toEqual(versions.map((_, index) => versions[0] + index))
      expect(versions).toEqual(expect.arrayContaining(told.map(({ version }) => version)))
      expect((await manager.getSession(id)).version).toBe(49)
    })

    test('what the audit does not have is refused', async () => {
      await expect(manager.restoreSession('none')).rejects.toBeInstanceOf(SessionNotFoundError)
      const { session_id: id } = await counted(1)
      for (const [field, options] of [
        ['version', { version: 2 }],
        ['version', { version: 'x' }],
        ['options.event', { event: 'x' }],
        ['actor', { actor: 5 }],
        ['metadata', { metadata: 'x' }],
      ]) {
        await expect(manager.restoreSession(id, options)).rejects.toMatchObject({
          name: 'InvalidStateError',
          field,
        })
      }
      expect(await manager.getSession(id)).toMatchObject({ version: 1 })
    })

    test('a manager without such a queue says what is missing', async () => {
      const own = store.open({ queue: { queueWrite() {} } })
      for (const other of [own, store.open()]) {
        await expect(other.restoreSession('a')).rejects.toMatchObject({ field: 'dbQueue' })
        const all = other.restoreSessions({ since: new Date() })
        await expect(all).rejects.toMatchObject({ field: 'dbQueue' })
      }
      const producer = store.keep(new DBWriteQueue(store.url, { worker: false }))
      const without = store.open({ queue: producer })
      await expect(without.restoreSession('a')).rejects.toMatchObject({ field: 'databaseUrl' })
    })
  })

  describe('restoreSessions', () => {
    test('what was lost comes back, and nothing else changes', async () => {
      const early = await counted(2)
      await nextMillisecond()
      const since = new Date()
      const lost = [await counted(1), await counted(3)]
      const same = await counted(2)
      const newer = await counted(2)
      const anew = await counted(4)
      const deleted = await counted(2)
      const ended = [
        await counted(2, { status: 'completed' }),
        await counted(2, { status: 'cancelled' }),
        await counted(2, { status: 'expired' }),
      ]
      await manager.deleteSession(deleted.session_id)
      await queue.drained()
      await lose(early, ...lost, ...ended)
      const unaudited = store.open()
      await unaudited.updateSession(newer.session_id, { ...newer, count: 90 })
      await unaudited.createSession({ ...anew, count: 90 })
      const stored = () =>
        manager.getSessions([same, newer, anew, ...ended].map((one) => one.session_id))
      const before = await stored()

      const progress = []
      const onProgress = (counts) => progress.push(counts)
      const counts = { found: 9, restored: 2, newer: 3, ended: 4, failed: 0 }
      expect(await manager.restoreSessions({ since, dryRun: true, onProgress })).toEqual(counts)
      expect(await stored()).toEqual(before)
      expect(progress).toEqual([counts])

      const why = { actor: 'on-call', metadata: { incident: 7 } }
      expect(await manager.restoreSessions({ since, ...why })).toEqual(counts)
      expect(await stored()).toEqual(before)
      expect(await manager.getSessions(lost.map(({ session_id }) => session_id))).toEqual([
        restoredFrom(lost[0], 2),
        restoredFrom(lost[1], 4),
      ])
      expect(await manager.getSession(early.session_id)).toBeNull()
      expect(await manager.getSession(deleted.session_id)).toBeNull()
      await queue.drained()
      const [told] = await queue.history(lost[1].session_id, { limit: 1 })
      expect(told).toMatchObject({
        eventType: 'session_restored',
        actor: 'on-call',
        metadata: { incident: 7, from: 3 },
      })
      const again = await manager.restoreSessions({ since })
      expect(again).toEqual({ found: 9, restored: 0, newer: 5, ended: 4, failed: 0 })
    })

    test('one that cannot be restored does not keep others from it', async () => {
      const since = new Date()
      const small = await counted(2)
      const large = await counted(2, { own: 'x'.repeat(5000) })
      await queue.queueWrite('a part', { note: 1 }, 'noted')
      await queue.drained()
      await lose(small, large)
      const warned = []
      const logger = { info() {}, warn: (fields) => warned.push(fields), error() {} }
      const limited = store.open({ queue, maxStateBytes: 4000, logger })
      expect(await limited.restoreSessions({ since })).toEqual({
        found: 3,
        restored: 1,
        newer: 0,
        ended: 0,
        failed: 2,
      })
      expect(await manager.getSession(small.session_id)).toMatchObject({ version: 3 })
      expect(warned).toEqual([{ err: expect.any(InvalidStateError), sessionId: large.session_id }])
    })

    test('it ends where its listener throws, and goes on with the next call', async () => {
      const since = new Date()
      const states = await Promise.all(Array.from({ length: 12 }, () => createdBy(manager)))
      await queue.drained()
      await lose(...states)
      const narrow = store.open({ queue, maxInFlight: 5 })
      const onProgress = () => {
        throw new Error('enough')
      }
      await expect(narrow.restoreSessions({ since, onProgress })).rejects.toThrow('enough')
      const rest = await narrow.restoreSessions({ since })
      expect(rest).toEqual({ found: 12, restored: 7, newer: 5, ended: 0, failed: 0 })
    })

    test.each([
      ['since', {}],
      ['since', { since: 'yesterday' }],
      ['dryRun', { since: new Date(), dryRun: 1 }],
      ['onProgress', { since: new Date(), onProgress: 5 }],
      ['actor', { since: new Date(), actor: '' }],
      ['options.event', { since: new Date(), event: 'x' }],
    ])('a wrong %s is refused', async (field, options) => {
      await expect(manager.restoreSessions(options)).rejects.toMatchObject({
        name: 'InvalidStateError',
        field,
      })
    })
  })
})
