'use strict'

// What services use most, on each server that there is a package of. `npm run test:servers` runs whole test
// files on each.

const { ConcurrencyError, DBWriteQueue, RedisStateManager, createRedisClient } = require('..')
const { running } = require('./harness/audit.js')
const { engines } = require('./harness/engines.js')
const { PostgresServer } = require('./harness/postgres.js')
const { refusalOf } = require('./harness/refusal.js')
const { POSTGRES, REDIS, onThisPlatform } = require('./harness/server-packages.js')
const { RedisServer } = require('./harness/redis.js')
const { SqliteFile } = require('./harness/sqlite.js')
const { sleep, until } = require('./harness/until.js')

const SERVERS = onThisPlatform(REDIS)
/** Sentinel and Cluster are tried on the newest of them. */
const NEWEST = SERVERS.at(-1)
const PLACES = engines.filter(({ engine }) => ['redis', 'sentinel', 'cluster'].includes(engine))

const CASES = PLACES.flatMap(({ engine, use }) =>
  (engine === 'redis' ? SERVERS : [NEWEST]).map((server) => ({ ...server, engine, use })),
)

/** Makes the harness start this server until the tests beside have run. */
function choose(variable, name) {
  const before = process.env[variable]
  beforeAll(() => {
    process.env[variable] = name
  })
  afterAll(() => {
    if (before === undefined) delete process.env[variable]
    else process.env[variable] = before
  })
}

/** What changes of a session leave in the audit. */
const CHANGES = ['session_created', 'session_updated', 'session_deleted']

describe.each(CASES)('$title, as $engine', ({ name, version, use }) => {
  choose('SYNCKAIROS_TEST_SERVER', name)
  const store = use()

  test('is of that version', async () => {
    const client = store.keep(createRedisClient(store.url))
    const info = await client.call('INFO', 'server')
    expect(info).toContain(`${name.split('-')[0]}_version:${version}`)
  })

  test('a session lives, is locked by its version, audited, and heard of', async () => {
    const file = store.keep(new SqliteFile())
    const queue = store.keep(new DBWriteQueue(store.url, { databaseUrl: file.url, migrate: true }))
    const manager = store.open({ queue })
    const heard = await store.listen()
    const state = running()
    const id = state.session_id

    await manager.createSession(state)
    await manager.updateSession(id, { ...state, status: 'paused' }, 1)
    const error = await refusalOf(() => manager.updateSession(id, state, 1))
    expect(error).toBeInstanceOf(ConcurrencyError)
    expect(await manager.getSession(id)).toMatchObject({ status: 'paused', version: 2 })
    expect(await manager.getSessions([id, 'none'])).toHaveLength(2)
    await manager.deleteSession(id)
    expect(await manager.getSession(id)).toBeNull()

    await until(() => heard.length >= CHANGES.length)
    expect(heard.map(([, one]) => one?.version)).toEqual([1, 2, undefined])
    await queue.drained()
    const rows = await file.rows('SELECT event_type FROM sync_events ORDER BY id')
    expect(rows.map((row) => row.event_type)).toEqual(CHANGES)
  })

  test('a broadcast is heard', async () => {
    const heard = []
    const other = store.open()
    other.subscribeToWebSocket((id, message) => heard.push([id, message]))
    await other.subscribed()
    await store.open().broadcastToSession('a', { text: 'ü' })
    await until(() => heard.length > 0)
    expect(heard).toEqual([['a', { text: 'ü' }]])
  })

  test('the near cache answers until somebody changes the session', async () => {
    const [reader, writer] = [store.open({ cache: {} }), store.open()]
    const state = running()
    const id = state.session_id
    await writer.createSession(state)
    // What is answered from memory does not wait for the event loop.
    await until(() => Promise.race([reader.getSession(id), sleep(0)]))
    await writer.updateSession(id, state, 1)
    await until(async () => (await reader.getSession(id)).version === 2)
  })
})

describe.each(onThisPlatform(POSTGRES))('$title', ({ name, version }) => {
  choose('SYNCKAIROS_TEST_POSTGRES', name)
  let redis
  let postgres
  const open = []
  beforeAll(async () => {
    redis = await RedisServer.start()
    postgres = await PostgresServer.start()
  })
  afterAll(async () => {
    await redis?.stop()
    await postgres?.stop()
  })
  afterEach(() => Promise.all(open.splice(0).map((one) => one.close())))

  test('is of that version', async () => {
    const [row] = await postgres.query(postgres.url, 'SHOW server_version')
    expect(row.server_version).toBe(version)
  })

  test('has each change once, in order, in tables that migrate() makes', async () => {
    const databaseUrl = await postgres.createDatabase()
    const queue = new DBWriteQueue(redis.url, { databaseUrl, migrate: true })
    open.push(queue)
    const manager = new RedisStateManager(redis.url, undefined, queue)
    open.push(manager)
    const state = running()
    await manager.createSession(state)
    await manager.updateSession(state.session_id, state, 1)
    await manager.deleteSession(state.session_id)
    await queue.drained()
    const sql = 'SELECT event_type, state_snapshot FROM sync_events ORDER BY id'
    const rows = await postgres.query(databaseUrl, sql)
    expect(rows.map((row) => row.event_type)).toEqual(CHANGES)
    expect(rows.map((row) => row.state_snapshot?.version)).toEqual([1, 2, undefined])
  })
})
