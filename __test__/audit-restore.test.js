'use strict'

const { RedisUnavailableError } = require('..')
const { Audit, running } = require('./harness/audit.js')
const { nextMillisecond } = require('./harness/session-history.js')
const { createdBy } = require('./harness/sessions.js')

const audit = Audit.use()

let queue
let manager
beforeEach(async () => {
  await audit.redis.flushall()
  queue = audit.queue()
  await queue.migrate()
  manager = audit.manage(queue)
})

const minuteAgo = () => new Date(Date.now() - 60_000)

/** So many sessions of two versions, whose records are stored. Resolves to their states. */
async function sessions(count) {
  const states = Array.from({ length: count }, () => running())
  await Promise.all(states.map((state) => manager.createSession(state)))
  await Promise.all(states.map((state) => manager.updateSession(state.session_id, state, 1)))
  await queue.drained()
  return manager.getSessions(states.map(({ session_id }) => session_id))
}

const without = ({ version, updated_at, ...state }) => state

test('after Redis has lost everything, every session is back', async () => {
  const states = await sessions(250)
  await audit.redis.flushall()
  const progress = []
  const counts = await manager.restoreSessions({
    since: minuteAgo(),
    onProgress: ({ found }) => progress.push(found),
  })
  expect(counts).toEqual({ found: 250, restored: 250, newer: 0, ended: 0, failed: 0 })
  expect(progress).toEqual([100, 200, 250])
  const restored = await manager.getSessions(states.map(({ session_id }) => session_id))
  expect(restored.map(without)).toEqual(states.map(without))
  expect(restored.every(({ version }) => version === 3)).toBe(true)
  expect(await audit.redis.ttl(`session:${states[0].session_id}`)).toBeGreaterThan(3500)
})

test('after Redis came back with an older copy, what it has lost is restored', async () => {
  const [state, other] = await sessions(2)
  const key = `session:${state.session_id}`
  const copy = await audit.redis.get(key)
  await manager.updateSession(state.session_id, { ...state, own: 'newest' }, 2)
  await queue.drained()
  await audit.redis.set(key, copy, 'EX', 1000)
  const counts = await manager.restoreSessions({ since: minuteAgo() })
  expect(counts).toEqual({ found: 2, restored: 1, newer: 1, ended: 0, failed: 0 })
  expect(await manager.getSession(state.session_id)).toMatchObject({ own: 'newest', version: 4 })
  expect(await manager.getSession(other.session_id)).toEqual(other)
})

test('what was written since the loss is left alone, also with a lower version', async () => {
  const [state] = await sessions(1)
  const id = state.session_id
  const copy = await audit.redis.get(`session:${id}`)
  for (let version = 2; version < 6; version++) await manager.updateSession(id, state, version)
  await queue.drained()
  await audit.redis.set(`session:${id}`, copy, 'EX', 1000)
  await nextMillisecond()
  await audit.manage(null).updateSession(id, { ...state, own: 'since the loss' }, 2)
  const counts = await manager.restoreSessions({ since: minuteAgo() })
  expect(counts).toEqual({ found: 1, restored: 0, newer: 1, ended: 0, failed: 0 })
  expect(await manager.getSession(id)).toMatchObject({ own: 'since the loss', version: 3 })
})

test('a copy of an older life with a higher version is replaced, a new life is not', async () => {
  const [state, other] = await sessions(2)
  const key = `session:${state.session_id}`
  for (let version = 2; version < 6; version++) {
    await manager.updateSession(state.session_id, state, version)
  }
  const copy = await audit.redis.get(key)
  await nextMillisecond()
  await manager.createSession({ ...state, own: 'newest life' })
  await queue.drained()
  await audit.redis.set(key, copy, 'EX', 1000)
  await audit.manage(null).createSession(other)
  const counts = await manager.restoreSessions({ since: minuteAgo() })
  expect(counts).toEqual({ found: 2, restored: 1, newer: 1, ended: 0, failed: 0 })
  const restored = await manager.getSession(state.session_id)
  expect(restored).toMatchObject({ own: 'newest life', version: 7 })
  expect((await manager.getSession(other.session_id)).version).toBe(1)
})

test('what is no session is left alone by all, and replaced for one', async () => {
  const [state] = await sessions(1)
  const id = state.session_id
  await audit.redis.set(`session:${id}`, 'no session')
  const counts = await manager.restoreSessions({ since: minuteAgo() })
  expect(counts).toEqual({ found: 1, restored: 0, newer: 0, ended: 0, failed: 1 })
  expect(await audit.redis.get(`session:${id}`)).toBe('no session')
  expect(await manager.restoreSession(id)).toMatchObject({ version: 3 })
  expect(await manager.getSession(id)).toMatchObject({ version: 3 })
})

test('writers win against a restore of everything', async () => {
  const states = await sessions(200)
  await audit.redis.flushall()
  const writer = audit.manage(null)
  const ids = states.map(({ session_id }) => session_id)
  // The service goes on: it creates what it finds missing while the restore is under way.
  const created = new Set()
  const writes = ids.toReversed().map(async (id, index) => {
    const state = { ...states.at(-1 - index), own: 'of the writer' }
    await writer.createSession(state, { ifAbsent: true }).then(
      () => created.add(id),
      (error) => expect(error.code).toBe('SESSION_EXISTS'),
    )
  })
  const [counts] = await Promise.all([manager.restoreSessions({ since: minuteAgo() }), ...writes])
  expect(counts).toMatchObject({ found: 200, ended: 0, failed: 0 })
  expect(counts.newer).toBe(created.size)
  for (const [index, state] of (await manager.getSessions(ids)).entries()) {
    const isWriters = created.has(ids[index])
    expect([state.own, state.version]).toEqual(isWriters ? ['of the writer', 1] : [undefined, 3])
  }
})

test('what is written between the look at it and its restore stays as it was written', async () => {
  const [state] = await sessions(1)
  await audit.redis.flushall()
  const proxy = await audit.redisProxy()
  const url = `redis://127.0.0.1:${proxy.port}`
  const apart = audit.manage(audit.queue({ url, worker: false }), { url })
  const held = proxy.hold('session_restored')
  const restoring = apart.restoreSessions({ since: minuteAgo() })
  const { release } = await held
  await audit.manage(null).createSession({ ...state, own: 'meanwhile' })
  release()
  const counts = { found: 1, restored: 0, newer: 1, ended: 0, failed: 0 }
  expect(await restoring).toEqual(counts)
  const stored = await manager.getSession(state.session_id)
  expect(stored).toMatchObject({ own: 'meanwhile', version: 1 })
})

test('an outage of Redis ends it, and the next call goes on', async () => {
  const states = await sessions(300)
  await audit.redis.flushall()
  const proxy = await audit.redisProxy()
  const url = `redis://127.0.0.1:${proxy.port}`
  const apart = audit.manage(audit.queue({ url }), { url, commandTimeoutMs: 1000 })
  let progress
  const onProgress = (counts) => {
    progress ??= counts
    proxy.mode = 'refuse'
    proxy.reset()
  }
  await expect(apart.restoreSessions({ since: minuteAgo(), onProgress })).rejects.toThrow(
    RedisUnavailableError,
  )
  expect(progress).toMatchObject({ found: 100, restored: 100 })
  const counts = await manager.restoreSessions({ since: minuteAgo() })
  expect(counts).toEqual({ found: 300, restored: 200, newer: 100, ended: 0, failed: 0 })
  const ids = states.map(({ session_id }) => session_id)
  expect((await manager.getSessions(ids)).every(({ version }) => version === 3)).toBe(true)
})

test('a database that refuses ends it with its error', async () => {
  const { session_id: id } = await createdBy(manager)
  await queue.drained()
  await audit.rows('ALTER TABLE sync_events RENAME TO gone')
  const missing = { name: 'DatabaseError', sqlstate: '42P01' }
  await expect(manager.restoreSessions({ since: minuteAgo() })).rejects.toMatchObject(missing)
  await expect(manager.restoreSession(id)).rejects.toMatchObject(missing)
})

test('a closed manager restores nothing', async () => {
  const { session_id: id } = await createdBy(manager)
  await queue.drained()
  await manager.close()
  for (const call of [
    () => manager.restoreSession(id),
    () => manager.restoreSessions({ since: minuteAgo() }),
  ]) {
    await expect(call()).rejects.toMatchObject({ code: 'CLOSED' })
  }
})
