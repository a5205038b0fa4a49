'use strict'

const { DBWriteQueue, InvalidStateError } = require('../../index.js')
const { engines } = require('../harness/engines.js')
const { makeState } = require('../harness/sessions.js')
const { SqliteFile } = require('../harness/sqlite.js')

describe.each(engines)('$engine', ({ use }) => {
  const store = use()
  let file
  let queue
  let manager
  beforeEach(async () => {
    file = store.keep(new SqliteFile())
    queue = store.keep(new DBWriteQueue(store.url, { databaseUrl: file.url }))
    await queue.migrate()
    manager = store.open({ queue })
  })

  const events = async () => {
    await queue.drained()
    const rows = await file.rows('SELECT * FROM sync_events ORDER BY id')
    return rows.map(({ event_type, metadata }) => [event_type, JSON.parse(metadata)])
  }

  test('each change says who made it and why, and nothing where its caller does not', async () => {
    const state = makeState()
    const id = state.session_id
    const other = makeState()
    await manager.createSession(state, { event: 'game_opened', actor: 'alice' })
    await manager.updateSession(id, state, 1, { metadata: { move: 'e2e4', n: [1] } })
    await manager.updateSession(id, state, 2)
    await manager.updateSession(id, state, undefined, { event: 'forced' })
    await manager.modifySession(id, (s) => s, {
      event: 'modified',
      actor: 'bob',
      metadata: { actor: 'not bob' },
    })
    await manager.createSession(other, { ifAbsent: true, actor: 'carol' })
    await manager.deleteSession(id, { actor: 'dave', metadata: { reason: 'ü"\\ \\u0000' } })
    await manager.deleteSession(other.session_id)
    expect(await events()).toEqual([
      ['game_opened', { actor: 'alice' }],
      ['session_updated', { move: 'e2e4', n: [1] }],
      ['session_updated', {}],
      ['forced', {}],
      ['modified', { actor: 'bob' }],
      ['session_created', { actor: 'carol' }],
      ['session_deleted', { actor: 'dave', reason: 'ü"\\ \\u0000' }],
      ['session_deleted', {}],
    ])
  })

  test('the reason of a change that is refused is not that of the next', async () => {
    const state = makeState()
    await manager.createSession(state)
    const refused = manager.updateSession(state.session_id, state, 7, { actor: 'alice' })
    await expect(refused).rejects.toThrow('version')
    const unsendable = { ...state, own: 1n }
    await expect(
      manager.updateSession(state.session_id, unsendable, 1, { actor: 'bob' }),
    ).rejects.toThrow(InvalidStateError)
    await manager.updateSession(state.session_id, state, 1)
    expect(await events()).toEqual([
      ['session_created', {}],
      ['session_updated', {}],
    ])
  })

  test('a dead letter keeps its reason when it is queued again', async () => {
    const state = makeState()
    await queue.migrate()
    await file.run(
      `CREATE TRIGGER refuse BEFORE INSERT ON sync_events WHEN NEW.event_type = 'x'
       BEGIN SELECT RAISE(ABORT, 'not this one'); END`,
    )
    await manager.createSession(state, { event: 'x', actor: 'alice' })
    await queue.drained()
    expect(await queue.getFailed()).toHaveLength(1)
    await file.run('DROP TRIGGER refuse')
    await queue.retryFailed()
    expect(await events()).toEqual([['x', { actor: 'alice' }]])
  })

  test('what is told goes to the audit of another store, too', async () => {
    const elsewhere = store.keep(
      new DBWriteQueue('memory:', { databaseUrl: file.url, migrate: true, logger: quiet }),
    )
    const apart = store.open({ queue: elsewhere, logger: quiet })
    const state = makeState()
    await apart.createSession(state, { event: 'game_opened', actor: 'alice' })
    await elsewhere.drained()
    queue = elsewhere
    expect(await events()).toEqual([['game_opened', { actor: 'alice' }]])
  })

  test('a service’s own queue gets the event', async () => {
    const seen = []
    const own = { queueWrite: async (_id, state, event) => seen.push([event, state.version]) }
    const apart = store.open({ queue: own })
    const state = makeState()
    await apart.createSession(state, { event: 'game_opened' })
    await apart.updateSession(state.session_id, state, 1, { event: 'moved', actor: 'alice' })
    await apart.updateSession(state.session_id, state, 2)
    expect(seen).toEqual([
      ['game_opened', 1],
      ['moved', 2],
      ['session_updated', 3],
    ])
  })

  const circle = {}
  circle.self = circle
  test.each([
    ['event', { event: '' }],
    ['event', { event: 'x'.repeat(51) }],
    ['event', { event: 7 }],
    ['event', { event: 'a\0b' }],
    ['event', { event: '\ud800' }],
    ['actor', { actor: '' }],
    ['actor', { actor: {} }],
    ['metadata', { metadata: 'text' }],
    ['metadata', { metadata: [] }],
    ['metadata', { metadata: null }],
    ['metadata', { metadata: circle }],
    ['metadata', { metadata: { a: 'x'.repeat(65_536) } }],
    ['metadata', { metadata: { a: '\0' } }],
    ['metadata', { metadata: { a: '\\\ud800' } }],
    ['options.who', { who: 'alice' }],
  ])('a wrong %s is refused, and nothing changes', async (field, options) => {
    const state = makeState()
    const calls = [
      () => manager.createSession(state, options),
      () => manager.updateSession(state.session_id, state, 1, options),
      () => manager.modifySession(state.session_id, (s) => s, options),
      () => manager.deleteSession(state.session_id, options),
    ]
    for (const call of calls) {
      await expect(call()).rejects.toMatchObject({ name: 'InvalidStateError', field })
    }
    expect(await manager.getSession(state.session_id)).toBeNull()
  })
})

const quiet = { info() {}, warn() {}, error() {} }
