'use strict'

const { Audit, running } = require('./harness/audit.js')
const { expectTold, live, plain } = require('./harness/session-history.js')
const { createdBy, makeState } = require('./harness/sessions.js')

const audit = Audit.use()

describe.each(['the tables of migrate()', 'the tables of the running services'])(
  'on %s',
  (name) => {
    let queue
    let manager
    beforeEach(async () => {
      if (name.includes('services')) await audit.deploy()
      queue = audit.queue()
      await queue.migrate()
      manager = audit.manage(queue)
    })

    test.each([11, 12, 13, 14, 15, 16])(
      'random history %i is told as it was lived',
      async (seed) => {
        const history = await live(manager, seed)
        await queue.drained()
        await expectTold(queue, history)
      },
    )

    test('an id that the columns cannot hold is none', async () => {
      const { session_id: id } = await createdBy(manager)
      await queue.drained()
      expect(await queue.history('none')).toEqual([])
      expect(await queue.stateAt('none', { version: 1 })).toBeNull()
      await expect(manager.restoreSession('none')).rejects.toMatchObject({
        code: 'SESSION_NOT_FOUND',
      })
      for (const before of ['none', '0190163d-8694-739b-aea5-966c26f8ad91']) {
        await expect(queue.history(id, { before })).rejects.toMatchObject({ field: 'before' })
      }
    })

    test('a value that does not fit its column is told all the same', async () => {
      const state = running({ active_participant_id: 'p1' })
      state.participants[0].participant_id = 'p1'
      await manager.createSession(state, { actor: 'alice' })
      await queue.drained()
      const [event] = await queue.history(state.session_id)
      expect(event).toMatchObject({ participantId: 'p1', actor: 'alice', timeRemainingMs: 300_000 })
    })

    test('rows of others, with fractions of a millisecond and without metadata, are events', async () => {
      const { session_id: id } = await createdBy(manager)
      await queue.drained()
      await audit.rows(
        `INSERT INTO sync_events (session_id, event_type, timestamp, metadata)
       VALUES ('${id}', 'noted', now() + interval '1 h', NULL),
              ('${id}', 'ended', date_trunc('ms', now()) + interval '2 h 456 us', '[]')`,
      )
      const [ended, noted, created] = await queue.history(id)
      expect([ended, noted, created]).toMatchObject([
        { eventType: 'ended', version: null, metadata: {}, changes: null },
        { eventType: 'noted', version: null, metadata: {}, changes: null },
        { eventType: 'session_created', version: 1 },
      ])
      expect(Number.isInteger(ended.at.getTime())).toBe(true)
      expect(await queue.stateAt(id, { at: ended.at })).toBeNull()
      expect(await queue.history(id, { before: ended.id })).toEqual([noted, created])
      expect(await queue.history(id, { before: noted.id })).toEqual([created])
    })

    test('a user learns what the tables and the rights lack', async () => {
      const all = await queue.databaseStatus()
      expect(all).toEqual({
        database: expect.stringMatching(/^127\.0\.0\.1:\d+\/database_\d+$/),
        version: expect.stringMatching(/^\d+/),
        now: expect.any(Date),
        roundTripMs: expect.any(Number),
        missingTables: [],
        missingRights: [],
      })
      expect(Math.abs(all.now.getTime() - Date.now())).toBeLessThan(60_000)
      expect(all.roundTripMs).toBeGreaterThan(0)

      const user = `reader_${audit.queueName.replace(/\W/g, '_')}`
      await audit.rows(
        `CREATE ROLE ${user} LOGIN; GRANT SELECT ON sync_events TO ${user};
       GRANT SELECT, INSERT ON sync_sessions TO ${user};
       GRANT INSERT (id, session_id, event_type, participant_id, time_remaining_ms, timestamp,
         state_snapshot) ON sync_events TO ${user}`,
      )
      const url = new URL(audit.databaseUrl)
      url.username = user
      const reader = audit.queue({ worker: false, databaseUrl: url.href })
      expect((await reader.databaseStatus()).missingRights).toEqual([
        'INSERT on sync_events',
        'UPDATE on sync_sessions',
      ])
      await audit.rows(`GRANT INSERT (metadata) ON sync_events TO ${user}`)
      expect((await reader.databaseStatus()).missingRights).toEqual(['UPDATE on sync_sessions'])

      const { session_id: id } = await createdBy(manager)
      await queue.drained()
      expect(await reader.history(id)).toHaveLength(1)
      await audit.rows('DROP TABLE sync_sessions')
      expect((await reader.databaseStatus()).missingTables).toEqual(['sync_sessions'])
      await expect(reader.history(id)).rejects.toMatchObject({ sqlstate: '42P01' })
    })
  },
)

describe('large histories', () => {
  let queue
  beforeEach(async () => {
    queue = audit.queue({ maxBatchBytes: 1 << 20 })
    await queue.migrate()
  })

  test('a page of states that are too large for one answer is whole', async () => {
    const state = running({ session_id: 'large' })
    const versions = 30
    for (let version = 1; version <= versions; version++) {
      const own = `${version}`.padEnd(600_000, 'x')
      await queue.queueWrite('large', { ...state, version, own }, 'written')
    }
    await queue.drained()
    const events = await queue.history('large', { limit: 1000 })
    expect(events.map(({ version }) => version)).toEqual(
      Array.from({ length: versions }, (_, index) => versions - index),
    )
    expect(events.map(({ changes }) => changes?.map(({ path }) => path))).toEqual([
      ...Array(versions - 1).fill(['own', 'version']),
      undefined,
    ])
  })

  test('a state of more than 16 MiB is read, too', async () => {
    const own = 'x'.repeat(17 << 20)
    const state = plain(makeState({ session_id: 'largest', own }))
    await queue.queueWrite('largest', state, 'written')
    await queue.drained()
    expect((await queue.stateAt('largest', { version: 1 })).own === own).toBe(true)
  })
})

test('versions that were queued out of order are compared with the version before', async () => {
  const queue = audit.queue({ worker: false })
  await queue.migrate()
  const state = plain(makeState({ session_id: 's' }))
  const rows = [1, 2, 4, 3, 5, 8].map((version, index) => {
    const snapshot = JSON.stringify({ ...state, version, count: version })
    return `('${index}', 's', 'x', '2026-01-01T00:00:0${index}Z', '${snapshot}')`
  })
  await audit.rows(
    `INSERT INTO sync_events (id, session_id, event_type, timestamp, state_snapshot)
     VALUES ${rows.join()}`,
  )
  const events = await queue.history('s')
  const told = events.map(({ version, changes }) => [version, changes?.at(-1).from ?? null])
  expect(told).toEqual([
    [8, 5],
    [5, 4],
    [3, 2],
    [4, 3],
    [2, 1],
    [1, null],
  ])
  expect((await queue.stateAt('s', { version: 8 })).count).toBe(8)
})
