'use strict'

const { DBWriteQueue, InvalidStateError } = require('../../index.js')
const { engines } = require('../harness/engines.js')
const { expectTold, live, nextMillisecond } = require('../harness/session-history.js')
const { createdBy, makeState } = require('../harness/sessions.js')
const { SqliteFile } = require('../harness/sqlite.js')

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

  /** A session with so many versions, each of which counts one more, and its states. */
  async function counted(versions) {
    const states = [await createdBy(manager, { count: 1 })]
    const id = states[0].session_id
    while (states.length < versions) {
      await manager.modifySession(id, (state) => ({ ...state, count: state.count + 1 }))
      states.push(await manager.getSession(id))
    }
    await queue.drained()
    return { id, states }
  }

  test('an event tells its change, who made it and why', async () => {
    const begun = Date.now()
    const state = makeState()
    const [first, second] = state.participants
    await manager.createSession(state)
    const next = {
      ...(await manager.getSession(state.session_id)),
      active_participant_id: second.participant_id,
      participants: [{ ...first, time_remaining_ms: 250_000 }, second],
      session_started_at: new Date('2026-01-02T03:04:05.006Z'),
    }
    const why = { event: 'turn_made', actor: 'alice', metadata: { move: 'e2e4' } }
    await manager.updateSession(state.session_id, next, 1, why)
    await manager.deleteSession(state.session_id)
    await queue.drained()

    const [deleted, updated, created] = await queue.history(state.session_id)
    const nobody = { actor: null, metadata: {} }
    expect(deleted).toEqual({
      ...nobody,
      id: expect.any(String),
      version: null,
      eventType: 'session_deleted',
      at: expect.any(Date),
      participantId: null,
      timeRemainingMs: null,
      changes: null,
    })
    expect(updated).toMatchObject({
      version: 2,
      eventType: 'turn_made',
      actor: 'alice',
      metadata: { move: 'e2e4' },
      participantId: second.participant_id,
      timeRemainingMs: 300_000,
    })
    const { at } = created
    expect(updated.changes).toEqual(
      expect.arrayContaining([
        { path: 'version', from: 1, to: 2 },
        {
          path: 'active_participant_id',
          from: first.participant_id,
          to: second.participant_id,
        },
        { path: 'participants[0].time_remaining_ms', from: 300_000, to: 250_000 },
        { path: 'session_started_at', from: null, to: '2026-01-02T03:04:05.006Z' },
      ]),
    )
    const paths = updated.changes.map(({ path }) => path)
    expect(new Set(paths).size).toBe(paths.length)
    expect(created).toMatchObject({ ...nobody, version: 1, eventType: 'session_created' })
    expect(created.changes).toBeNull()
    expect(at.getTime()).toBeGreaterThanOrEqual(begun)
    expect(at.getTime()).toBeLessThanOrEqual(Date.now())
  })

  test.each([1, 2, 3, 4])('random history %i is told as it was lived', async (seed) => {
    const history = await live(manager, seed)
    await queue.drained()
    await expectTold(queue, history)
  })

  test('pages follow each other, by the id of an event or by its date', async () => {
    const { id } = await counted(7)
    const all = await queue.history(id)
    expect(all.map(({ version }) => version)).toEqual([7, 6, 5, 4, 3, 2, 1])

    const pages = []
    for (let before; ; before = pages.at(-1).at(-1).id) {
      const page = await queue.history(id, { limit: 3, ...(before && { before }) })
      if (page.length === 0) break
      pages.push(page)
    }
    expect(pages.map((page) => page.length)).toEqual([3, 3, 1])
    expect(pages.flat()).toEqual(all)
    const before = all[2].at
    const older = all.filter(({ at }) => at < before)
    expect(await queue.history(id, { before })).toEqual(older)
    expect(await queue.history(id, { before: new Date(before.getTime() + 1) })).toEqual(
      all.filter(({ at }) => at <= before),
    )
  })

  test('an event of the service’s own has no version before it, nor is it one', async () => {
    const { id, states } = await counted(2)
    await nextMillisecond()
    await queue.queueWrite(id, { session_id: id, note: 'a part' }, 'noted')
    await nextMillisecond()
    await queue.queueWrite(id, states[1], 'moved')
    await nextMillisecond()
    await manager.updateSession(id, states[1], 2)
    await queue.drained()
    const events = await queue.history(id)
    expect(events.map(({ eventType, version }) => [eventType, version])).toEqual([
      ['session_updated', 3],
      ['moved', 2],
      ['noted', null],
      ['session_updated', 2],
      ['session_created', 1],
    ])
    const [updated, moved, noted] = events
    expect(updated.changes.map(({ path }) => path).toSorted()).toEqual(['updated_at', 'version'])
    expect(moved.changes.find(({ path }) => path === 'count')).toEqual({
      path: 'count',
      from: 1,
      to: 2,
    })
    expect(noted.changes).toBeNull()
    expect(await queue.stateAt(id, { version: 2 })).toEqual(states[1])
    expect(await queue.stateAt(id, { at: noted.at })).toMatchObject({ session_id: id, version: 2 })
  })

  test('what the audit does not know is nothing', async () => {
    const { id } = await counted(1)
    expect(await queue.history('none')).toEqual([])
    expect(await queue.stateAt('none', { version: 1 })).toBeNull()
    expect(await queue.stateAt(id, { version: 2 })).toBeNull()
    expect(await queue.stateAt(id, { at: new Date(0) })).toBeNull()
    expect(await queue.stateAt(id, { at: new Date() })).toMatchObject({ version: 1 })
  })

  test('of an older life only its date finds a state', async () => {
    const { id, states } = await counted(3)
    const state = states[2]
    const [{ at }] = await queue.history(id, { limit: 1 })
    await nextMillisecond()
    await manager.createSession({ ...state, count: 9 })
    await queue.drained()
    expect(await queue.stateAt(id, { version: 3 })).toBeNull()
    expect(await queue.stateAt(id, { version: 1 })).toMatchObject({ count: 9 })
    expect(await queue.stateAt(id, { at })).toEqual(state)
  })

  test.each([
    ['limit', { limit: 0 }],
    ['limit', { limit: 1001 }],
    ['before', { before: 5 }],
    ['before', { before: new Date(Number.NaN) }],
    ['before', { before: 'none' }],
    ['before', { before: '\ud800' }],
    ['page.after', { after: 'x' }],
  ])('a wrong %s of a page is refused', async (field, page) => {
    const { id } = await counted(1)
    await expect(queue.history(id, page)).rejects.toMatchObject({
      name: 'InvalidStateError',
      field,
    })
  })

  test.each([
    ['when', undefined],
    ['when', {}],
    ['when', { version: 1, at: new Date() }],
    ['version', { version: -1 }],
    ['version', { version: 1.5 }],
    ['at', { at: 'yesterday' }],
  ])('a wrong %s of a state is refused', async (field, when) => {
    await expect(queue.stateAt('a', when)).rejects.toMatchObject({
      name: 'InvalidStateError',
      field,
    })
    await expect(queue.stateAt(5, { version: 1 })).rejects.toThrow(InvalidStateError)
  })

  test('a queue without a worker reads its database; one without a database says so', async () => {
    const { id, states } = await counted(1)
    const { database } = await queue.databaseStatus()
    const reader = store.keep(new DBWriteQueue(store.url, { worker: false, databaseUrl: database }))
    expect(await reader.stateAt(id, { version: 1 })).toEqual(states[0])
    const without = store.keep(new DBWriteQueue(store.url, { worker: false }))
    for (const call of [
      () => without.history(id),
      () => without.stateAt(id, { version: 1 }),
      () => without.databaseStatus(),
    ]) {
      await expect(call()).rejects.toMatchObject({ field: 'databaseUrl' })
    }
  })

  test('a missing table names the remedy', async () => {
    const file = store.keep(new SqliteFile())
    const empty = store.keep(new DBWriteQueue(store.url, { worker: false, databaseUrl: file.url }))
    await expect(empty.history('a')).rejects.toMatchObject({
      name: 'DatabaseError',
      message: expect.stringMatching(/migrate\(\)/),
    })
    expect(await empty.databaseStatus()).toMatchObject({
      missingTables: ['sync_sessions', 'sync_events'],
      missingRights: [],
    })
    await empty.migrate()
    const asked = Date.now()
    const status = await empty.databaseStatus()
    expect(status).toEqual({
      database: file.url,
      version: expect.stringMatching(/^3\.\d+\.\d+$/),
      now: expect.any(Date),
      roundTripMs: expect.any(Number),
      missingTables: [],
      missingRights: [],
    })
    expect(Math.abs(status.now.getTime() - asked)).toBeLessThan(60_000)
    expect(status.roundTripMs).toBeGreaterThan(0)
  })
})
