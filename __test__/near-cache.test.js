'use strict'

const { ClosedError, ConcurrencyError, RedisStateManager, createRedisClient } = require('..')
const { startScript } = require('./harness/child.js')
const { Managers } = require('./harness/managers.js')
const { TcpProxy } = require('./harness/proxy.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { RedisServer } = require('./harness/redis.js')
const { refusalOf, thrownBy } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { sleep, until } = require('./harness/until.js')

/** By which Redis tells of keys that have changed, in RESP3. */
const INVALIDATIONS = />2\r\n\$10\r\ninvalidate\r\n\*1\r\n\$\d+\r\n[^\r]*\r\n/g

const CACHE = { cache: { maxSessions: 10_000 } }

let server
let redis
let proxy
const managers = new Managers()

beforeAll(async () => {
  server = await RedisServer.start(['--appendonly', 'yes', '--appendfsync', 'always'])
  redis = server.client()
})
afterAll(() => server.stop())
beforeEach(async () => {
  await redis.flushall()
  proxy = await TcpProxy.start(server.port)
})
afterEach(async () => {
  await managers.close()
  await proxy.stop()
})

const open = (url = server.url, options = CACHE) => managers.open(url, options)
const key = (id) => `session:${id}`

/** A session in Redis, written by somebody else. */
async function given(overrides) {
  const state = makeState({ updated_at: new Date(Date.now() - 1000), ...overrides })
  await redis.set(key(state.session_id), JSON.stringify(state), 'EX', 3600)
  return state
}

/** How many commands of these names Redis has been sent, by anybody. */
async function commands(...names) {
  const stats = await redis.info('commandstats')
  const calls = names.map((name) => stats.match(`cmdstat_${name}:calls=(\\d+)`)?.[1] ?? 0)
  return calls.reduce((sum, count) => sum + Number(count), 0)
}

/** Whether the manager answers this from memory. */
async function isKept(manager, id) {
  const before = await commands('get')
  await manager.getSession(id)
  return (await commands('get')) === before
}

/** Reads until the answer comes from memory, which it does once Redis has told that it tracks. */
async function warm(manager, id) {
  await manager.getSession(id)
  expect(await isKept(manager, id)).toBe(true)
}

describe('a read', () => {
  test('is answered from memory, as it would be by Redis', async () => {
    const own = JSON.parse('{"__proto__":{"a":[[],{},null,-0.5]},"constructor":{"at":1}}')
    const state = await given({ marks: [new Date(5), { at: new Date(7) }], note: 'ü🦊', own })
    const manager = open()
    await manager.getSession(state.session_id)
    const before = await commands('get')
    for (let n = 0; n < 100; n++) expect(await manager.getSession(state.session_id)).toEqual(state)
    expect(await commands('get')).toBe(before)
  })

  test('is asked of Redis, every time, where no cache is wanted', async () => {
    const { session_id: id } = await given()
    for (const options of [{}, { cache: undefined }]) {
      const manager = open(server.url, options)
      await manager.getSession(id)
      expect(await isKept(manager, id)).toBe(false)
    }
  })

  test('gives each caller a state of its own', async () => {
    const state = await given()
    const manager = open()
    for (let n = 0; n < 3; n++) {
      const mine = await manager.getSession(state.session_id)
      mine.participants[0].has_gone = true
      mine.participants.pop()
      mine.updated_at.setTime(0)
    }
    expect(await isKept(manager, state.session_id)).toBe(true)
    expect(await manager.getSession(state.session_id)).toEqual(state)
  })

  test('of a state of any depth is answered', async () => {
    const manager = open()
    await warm(manager, (await given()).session_id)
    for (const [depth, kept] of [
      [90, true],
      [110, false],
      [20_000, false],
    ]) {
      const deep = '['.repeat(depth) + ']'.repeat(depth)
      const { session_id: id, ...state } = makeState({ updated_at: new Date() })
      await redis.set(
        key(id),
        JSON.stringify({ ...state, deep: 0 }).replace('"deep":0', `"deep":${deep}`),
      )
      expect(await manager.getSession(id)).toMatchObject({ version: 1 })
      expect(await isKept(manager, id)).toBe(kept)
    }
  })

  test('that found nothing, or no session, is not kept', async () => {
    const manager = open()
    await warm(manager, (await given()).session_id)
    expect(await manager.getSession('none')).toBeNull()
    expect(await isKept(manager, 'none')).toBe(false)
    await redis.set(key('broken'), '{"version":')
    for (let n = 0; n < 2; n++) {
      const error = await refusalOf(() => manager.getSession('broken'))
      expect(error).toMatchObject({ code: 'STATE_DESERIALIZATION_ERROR' })
    }
    await given({ session_id: 'broken' })
    expect(await manager.getSession('broken')).toMatchObject({ version: 1 })
  })

  test('is kept for as many sessions as were asked for, those that were read last', async () => {
    const manager = open(server.url, { cache: { maxSessions: 3 } })
    const ids = []
    for (let n = 0; n < 4; n++) ids.push((await given()).session_id)
    const [a, b, c, d] = ids
    await warm(manager, a)
    for (const id of [b, c, a, d]) await manager.getSession(id)
    const before = await commands('get')
    for (const id of [a, c, d]) await manager.getSession(id)
    expect(await commands('get')).toBe(before)
    expect(await isKept(manager, b)).toBe(false)
  })

  test('is not kept for longer than Redis keeps the session', async () => {
    const manager = open(proxy.url, { cache: {}, ttlSeconds: 1 })
    const state = makeState()
    await manager.createSession(state)
    await warm(manager, state.session_id)
    proxy.mode = 'swallow' // Redis may not tell of what has expired for as long as it likes.
    let read
    await until(async () => {
      read = manager.getSession(state.session_id)
      // What is answered from memory does not wait for the event loop.
      return (await Promise.race([read, sleep(0)])) === undefined
    }, 1500)
    proxy.mode = 'pass'
    proxy.reset()
    expect(await read).toBeNull()
  })
})

describe('a change', () => {
  test.each([
    ['an update', (manager, state) => manager.updateSession(state.session_id, state), 2],
    ['a locked update', (manager, state) => manager.updateSession(state.session_id, state, 1), 2],
    ['a modification', (manager, { session_id: id }) => manager.modifySession(id, (s) => s), 2],
    ['a creation', (manager, state) => manager.createSession({ ...state, version: 9 }), 1],
    ['a deletion', (manager, { session_id: id }) => manager.deleteSession(id), undefined],
  ])('%s of its own is seen by the next read', async (_what, change, version) => {
    const manager = open(proxy.url)
    await manager.createSession(makeState())
    await change(manager, await given()) // Redis knows the scripts from here on.
    for (let n = 0; n < 50; n++) {
      const state = await given()
      if (n === 0) await warm(manager, state.session_id)
      if (n === 25) proxy.omitted = INVALIDATIONS // It must not depend on being told.
      await manager.getSession(state.session_id)
      const reads = Promise.all([1, 2, 3].map(() => manager.getSession(state.session_id)))
      const changed = change(manager, state)
      const meanwhile = manager.getSession(state.session_id)
      await changed
      const read = await manager.getSession(state.session_id)
      expect(read?.version).toBe(version)
      if (read) expect(read.updated_at > state.updated_at).toBe(true)
      await Promise.all([reads, meanwhile])
      expect((await manager.getSession(state.session_id))?.version).toBe(version)
    }
  })

  test('of its own that is not awaited is seen by a read that is called after it', async () => {
    const manager = open(proxy.url)
    const state = await given()
    await warm(manager, state.session_id)
    const id = state.session_id
    for (const [version, expected] of [
      [1, 1],
      [2, undefined],
    ]) {
      await manager.getSession(id)
      const held = proxy.hold(id)
      const changed = manager.updateSession(id, state, expected)
      const { release } = await held
      const read = manager.getSession(id)
      await sleep(50) // In which it does not overtake.
      release()
      expect((await read).version).toBe(version + 1)
      await changed
    }
  })

  test('of its own that is sent twice is seen by the next read', async () => {
    const manager = open(proxy.url)
    await warm(manager, (await given()).session_id)
    proxy.omitted = INVALIDATIONS
    for (let n = 0; n < 100; n++) {
      const state = await given()
      await redis.script('FLUSH')
      const changed = manager.updateSession(state.session_id, state)
      expect((await manager.getSession(state.session_id)).version).toBe(2)
      await changed
      expect((await manager.getSession(state.session_id)).version).toBe(2)
    }
  })

  test("of others is seen within a round trip, another manager's of the same client too", async () => {
    const client = managers.keep(createRedisClient(server.url))
    const [manager, neighbour] = [open(client), open(client)]
    const uncached = open(client, {})
    const elsewhere = open()
    const state = await given()
    const id = state.session_id
    for (const one of [manager, neighbour, elsewhere]) await warm(one, id)
    for (const writer of [neighbour, uncached, elsewhere]) {
      const { version } = await manager.getSession(id)
      await writer.updateSession(id, state, version)
      for (const reader of [manager, neighbour, elsewhere]) {
        await until(async () => (await reader.getSession(id)).version === version + 1, 2000)
      }
    }
    await redis.del(key(id))
    await until(async () => (await manager.getSession(id)) === null, 2000)
  })

  test.each([
    ['FLUSHALL', () => redis.flushall()],
    ['FLUSHDB', () => redis.flushdb('ASYNC')],
    ['RENAME', (id) => redis.rename(key(id), 'elsewhere')],
    ['EXPIRE', (id) => redis.pexpire(key(id), 1)],
  ])('by %s is seen', async (_command, change) => {
    const { session_id: id } = await given()
    const manager = open()
    await warm(manager, id)
    await change(id)
    await until(async () => (await manager.getSession(id)) === null, 2000)
  })

  test('based on a state that is out of date fails, and is not lost on the next try', async () => {
    const state = await given()
    const id = state.session_id
    const manager = open(proxy.url)
    await warm(manager, id)
    proxy.mode = 'swallow' // What Redis tells from now on does not arrive.
    await given({ ...state, version: 5 })
    const old = await manager.getSession(id)
    expect(old.version).toBe(1)
    const update = refusalOf(() => manager.updateSession(id, old, old.version))
    proxy.mode = 'pass'
    proxy.reset()
    expect(await update).toBeInstanceOf(ConcurrencyError)
    const next = await manager.modifySession(id, (current) => ({ ...current, note: 'mine' }))
    expect(next).toMatchObject({ version: 6, note: 'mine' })
  })
})

describe('the connection', () => {
  test('is lost: nothing that was known is answered any more', async () => {
    const states = await Promise.all(Array.from({ length: 100 }, () => given()))
    const manager = open(proxy.url)
    await warm(manager, states[0].session_id)
    await Promise.all(states.map(({ session_id: id }) => manager.getSession(id)))
    proxy.mode = 'refuse'
    proxy.reset()
    await until(() => proxy.connections > 1)
    await Promise.all(states.map((state) => given({ ...state, version: 2 })))
    const reads = states.map(({ session_id: id }) => manager.getSession(id))
    proxy.mode = 'pass'
    for (const read of await Promise.all(reads)) expect(read.version).toBe(2)
    await warm(manager, states[0].session_id)
  })

  test('falls silent: what is out of date is answered for 4 s at most', async () => {
    const state = await given()
    const manager = open(proxy.url)
    await warm(manager, state.session_id)
    proxy.strand()
    await given({ ...state, version: 2 })
    const started = performance.now()
    expect((await manager.getSession(state.session_id)).version).toBe(1)
    let answered
    await until(async () => {
      const { version } = await manager.getSession(state.session_id)
      if (version === 1) answered = performance.now()
      return version === 2
    })
    expect(answered - started).toBeLessThan(4000)
  })

  test('falls silent for a process that stands still: it does not answer what it knew', async () => {
    const state = await given()
    const manager = open(proxy.url)
    await warm(manager, state.session_id)
    proxy.strand()
    await given({ ...state, version: 2 })
    // Nothing runs meanwhile, no timer either.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4100)
    expect((await manager.getSession(state.session_id)).version).toBe(2)
  })

  test('idles for longer than a proof holds: what is known holds again after the next', async () => {
    const { session_id: id } = await given()
    const manager = open(proxy.url)
    await warm(manager, id)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4100)
    expect(await isKept(manager, id)).toBe(false)
    expect(await isKept(manager, id)).toBe(true)
    expect(proxy.connections).toBe(1)
  })

  test('is read from for longer than a proof holds: none of it is asked of Redis', async () => {
    const { session_id: id } = await given()
    const manager = open()
    await warm(manager, id)
    const before = await commands('get')
    const started = performance.now()
    while (performance.now() - started < 5000) {
      await manager.getSession(id)
      await sleep(50)
    }
    expect(await commands('get')).toBe(before)
  })

  test('is made after Redis was to be asked to tell: what was read untold is not kept', async () => {
    const [state, other] = [await given(), await given()]
    proxy.mode = 'refuse'
    const manager = open(proxy.url, { ...CACHE, commandTimeoutMs: 3000 })
    const first = refusalOf(() => manager.getSession(other.session_id))
    await sleep(2500)
    const second = manager.getSession(state.session_id)
    await first // And with it the request to tell.
    proxy.mode = 'pass'
    expect((await second).version).toBe(1)
    await given({ ...state, version: 2 })
    await warm(manager, other.session_id)
    expect((await manager.getSession(state.session_id)).version).toBe(2)
  })

  test('ends with its server, which comes back with other data', async () => {
    const state = await given()
    const manager = open()
    await warm(manager, state.session_id)
    await server.kill()
    await server.up()
    await given({ ...state, version: 7 })
    await until(async () => (await manager.getSession(state.session_id)).version === 7)
    await warm(manager, state.session_id)
  })

  test('is closed: no call is answered, what is known no more than else', async () => {
    const { session_id: id } = await given()
    const manager = open()
    await warm(manager, id)
    const closed = manager.close()
    expect(await refusalOf(() => manager.getSession(id))).toBeInstanceOf(ClosedError)
    await closed
    expect(await refusalOf(() => manager.getSession(id))).toBeInstanceOf(ClosedError)
  })

  test('of a user that may not track: all goes on without a cache, and the logger is told once', async () => {
    await redis.acl('SETUSER', 'bare', 'on', '>secret', '~*', '&*', '+@all', '-client')
    const logger = recordingLogger()
    const manager = open(`redis://bare:secret@127.0.0.1:${server.port}`, { ...CACHE, logger })
    const { session_id: id } = await given()
    for (let n = 0; n < 3; n++) {
      expect(await manager.getSession(id)).toMatchObject({ session_id: id })
    }
    expect(await isKept(manager, id)).toBe(false)
    const told = logger.told.warn.filter(({ message }) => /CLIENT TRACKING/.test(message))
    expect(told).toEqual([
      expect.objectContaining({ err: expect.objectContaining({ code: 'REDIS_REPLY' }) }),
    ])
    // Redis 6.2 counts all commands that begin with CLIENT as one.
    expect(await commands('client\\|tracking', 'client')).toBeGreaterThan(0)
  })
})

test.each([
  [{ maxSession: 5 }, 'cache.maxSession'],
  [{ maxSessions: 0 }, 'cache.maxSessions'],
  [{ maxSessions: '5' }, 'cache.maxSessions'],
  [true, 'cache'],
])('the option cache: %j is refused by name', (cache, field) => {
  const error = thrownBy(() => new RedisStateManager(server.url, null, null, { cache }))
  expect(error).toMatchObject({ code: 'INVALID_STATE', field })
})

test('3000 sessions under concurrent reads and writes of many: none is stale afterwards', async () => {
  const ids = Array.from({ length: 3000 }, (_, n) => `s-${n}`)
  await redis.mset(ids.flatMap((id) => [key(id), JSON.stringify(makeState({ session_id: id }))]))
  const shared = managers.keep(createRedisClient(server.url))
  const mine = [open(), open(), open(shared), open(shared), open(server.url, {})]
  const env = { REDIS_URL: server.url, SESSIONS: String(ids.length) }
  const { ended } = startScript("require('./__test__/processes/random-updates.js')", {
    env,
    timeoutMs: 60_000,
  })
  const any = () => ids[Math.trunc(Math.random() * ids.length)]
  let over = false
  const readers = mine.flatMap((manager) =>
    Array.from({ length: 20 }, async () => {
      while (!over) {
        await Promise.all(Array.from({ length: 10 }, () => manager.getSession(any())))
        // What is answered from memory does not wait for the event loop.
        await new Promise(setImmediate)
      }
    }),
  )
  const writers = mine.map(async (manager) => {
    for (let n = 0; !over; n++) {
      const id = any()
      if (n % 2) await manager.updateSession(id, await manager.getSession(id))
      else await manager.modifySession(id, (state) => state, { retries: 100 })
      await sleep(1)
    }
  })
  const foreign = (async () => {
    for (let n = 0; !over; n++) await given({ session_id: any(), version: n + 1 })
  })()
  expect(await ended).toMatchObject({ code: 0, stderr: '' })
  over = true
  await Promise.all([...readers, ...writers, foreign])
  // On each connection, what was told before has come now.
  for (const manager of mine) await manager.touchSession(ids[0])
  const before = await commands('get')
  const reads = await Promise.all(
    mine.map((one) => Promise.all(ids.map((id) => one.getSession(id)))),
  )
  // Many of them were known, or this would show nothing.
  expect((await commands('get')) - before).toBeLessThan(ids.length * 5 - 500)
  const stored = (await redis.mget(ids.map(key))).map((text) => JSON.parse(text))
  for (const states of reads) {
    const stale = states.filter(({ version }, n) => version !== stored[n].version)
    expect(stale).toEqual([])
  }
}, 90_000)
