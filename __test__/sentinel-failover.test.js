'use strict'

const {
  ConcurrencyError,
  DBWriteQueue,
  OutcomeUnknownError,
  RedisStateManager,
  RedisUnavailableError,
} = require('../index.js')
const { Managers } = require('./harness/managers.js')
const { SentinelGroup } = require('./harness/sentinel.js')
const { makeState } = require('./harness/sessions.js')
const { SqliteFile } = require('./harness/sqlite.js')
const { sleep, until } = require('./harness/until.js')

/** What a caller may wait longer than the servers themselves take. */
const SLACK = 500

let group
const managers = new Managers()

beforeAll(async () => {
  group = await SentinelGroup.start()
}, 60_000)

afterAll(() => group.stop())

afterEach(async () => {
  await managers.close()
  await group.settled()
})

const open = (more) => managers.open(group.url, { commandTimeoutMs: 20_000, ...more })

/** A master that dies, and how long it takes until the sentinels name another one, in ms. */
async function killed() {
  const master = await group.master()
  const at = performance.now()
  await master.kill()
  await until(async () => (await group.master()) !== master, 20_000)
  return { master, took: performance.now() - at }
}

/** Calls one after the other until `stop()`, which tells the longest time without an answer, and the errors. */
function calls(call) {
  let longest = 0
  let isOver = false
  const errors = []
  const ended = (async () => {
    let last = performance.now()
    while (!isOver) {
      await call().catch((error) => errors.push(error))
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    }
  })()
  return {
    async stop() {
      isOver = true
      await ended
      return { longest, errors }
    },
  }
}

/** A read and a locked update, over and over. */
async function load() {
  const manager = open()
  await manager.createSession(makeState({ session_id: 'a' }))
  await manager.createSession(makeState({ session_id: 'b' }))
  const reads = calls(() => manager.getSession('a'))
  const updates = calls(async () => {
    const state = await manager.getSession('b')
    await manager.updateSession('b', state, state.version)
  })
  return { manager, reads, updates }
}

function expectTyped(errors) {
  for (const error of errors) {
    const typed = [ConcurrencyError, OutcomeUnknownError, RedisUnavailableError]
    expect(typed.some((type) => error instanceof type)).toBe(true)
  }
}

test('a planned failover is followed, under reads and locked updates', async () => {
  const { manager, reads, updates } = await load()
  const before = await group.master()
  const at = performance.now()
  await group.failover()
  const took = performance.now() - at
  await manager.updateSession('b', await manager.getSession('b'))
  const [read, updated] = [await reads.stop(), await updates.stop()]
  expect(read.errors).toEqual([])
  expectTyped(updated.errors)
  expect(read.longest).toBeLessThan(took + SLACK)
  const master = await group.master()
  expect(master).not.toBe(before)
  const { version } = await manager.getSession('b')
  expect(JSON.parse(await master.client().get('session:b')).version).toBe(version)
}, 60_000)

test('the death of the master is followed, under reads and locked updates', async () => {
  const { manager, reads, updates } = await load()
  const { master, took } = await killed()
  await manager.updateSession('b', await manager.getSession('b'))
  const [read, updated] = [await reads.stop(), await updates.stop()]
  await master.up()
  expect(read.errors).toEqual([])
  expectTyped(updated.errors)
  expect(read.longest).toBeLessThan(took + SLACK)
}, 60_000)

test('a master that stands still is left, and not followed when it goes on as one', async () => {
  const { manager, reads, updates } = await load()
  const master = await group.master()
  const at = performance.now()
  master.pause()
  let took
  try {
    await until(async () => (await group.master()) !== master, 20_000)
    took = performance.now() - at
    await manager.updateSession('b', await manager.getSession('b'))
  } finally {
    master.resume()
  }
  const { version } = await manager.getSession('b')
  await group.settled()
  expect((await manager.getSession('b')).version).toBeGreaterThanOrEqual(version)
  const [read, updated] = [await reads.stop(), await updates.stop()]
  expect(read.errors).toEqual([])
  expectTyped(updated.errors)
  expect(read.longest).toBeLessThan(took + SLACK)
}, 60_000)

test('who knows one sentinel, which dies, follows the others', async () => {
  const [known] = group.sentinels
  const { host, port } = known
  const manager = managers.open({ sentinels: [{ host, port }], name: group.name })
  await manager.createSession(makeState({ session_id: 'a' }))
  await known.kill()
  const { master } = await killed()
  try {
    await manager.createSession(makeState({ session_id: 'b' }))
    expect(await (await group.master()).client().exists('session:b')).toBe(1)
  } finally {
    await Promise.all([known.up(), master.up()])
  }
}, 60_000)

test('the last master that the sentinels have named serves while they are gone', async () => {
  const manager = open()
  await manager.createSession(makeState({ session_id: 'a' }))
  await group.failover()
  for (const sentinel of group.sentinels) await sentinel.kill()
  try {
    expect(await manager.getSession('a')).toMatchObject({ version: 1 })
    // At the second time it is known that no sentinel answers: each was asked at the first.
    for (let n = 0; n < 3; n++) {
      const ids = []
      for (const server of group.servers) {
        ids.push(await server.client().client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes'))
      }
      expect(Math.max(...ids)).toBeGreaterThan(0)
      expect(await manager.getSession('a')).toMatchObject({ version: 1 })
      await sleep(1000)
    }
  } finally {
    for (const sentinel of group.sentinels) await sentinel.up()
  }
}, 60_000)

test('subscribers hear of updates after a failover, and of those that they have missed', async () => {
  const manager = open()
  await manager.createSession(makeState({ session_id: 'a' }))
  let latest = 0
  const listener = open()
  listener.subscribeToUpdates((_sessionId, state) => {
    latest = state.version
  })
  await listener.subscribed()
  for (const fail of [() => group.failover(), killed]) {
    const { master } = await fail()
    for (let n = 0; n < 2; n++) {
      await manager.updateSession('a', await manager.getSession('a'))
      const { version } = await manager.getSession('a')
      await until(() => latest === version, 5000)
    }
    await master?.up()
    await group.settled()
  }
}, 60_000)

test('an audit worker goes on after a failover, and its records are stored once', async () => {
  const file = managers.keep(new SqliteFile())
  const queue = new DBWriteQueue(group.url, { databaseUrl: file.url })
  managers.keep(queue)
  await queue.migrate()
  const manager = managers.keep(new RedisStateManager(group.url, null, queue))
  await manager.createSession(makeState({ session_id: 'a' }))
  await queue.drained()
  await group.failover()
  await manager.createSession(makeState({ session_id: 'b' }))
  await until(async () => {
    const rows = await file.rows('SELECT session_id FROM sync_events ORDER BY session_id')
    return rows.map((row) => row.session_id).join() === 'a,b'
  })
}, 60_000)
