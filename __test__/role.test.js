'use strict'

// A server that becomes a replica, while its connections stay and nothing that it is asked fails.

const { OutcomeUnknownError, createRedisClient } = require('..')
const { Managers } = require('./harness/managers.js')
const { Replicated } = require('./harness/replicated.js')
const { refusalOf } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { sleep, until } = require('./harness/until.js')

/** For how long a master counts as one, and by how much measuring is late, ms. */
const ROLE_AGE = 2000
const LATE = 100
/** For how long the cache answers after its latest proof, ms. */
const LEASE = 4000

let pair
const managers = new Managers()

beforeEach(async () => {
  pair = await Replicated.start()
})
afterEach(async () => {
  await managers.close()
  await pair.stop()
})

/** A session of version 1, which is of version 2 on the server that will be the master. */
async function given() {
  const state = makeState({ updated_at: new Date() })
  const key = `session:${state.session_id}`
  await pair.redis.set(key, JSON.stringify(state), 'EX', 3600)
  await pair.inSync()
  await pair.part()
  await pair.copy.set(key, JSON.stringify({ ...state, version: 2 }), 'EX', 3600)
  return state.session_id
}

const open = (options) => managers.open(pair.proxy.url, options)

/** Reads until a while after the right answer has come. When each was called, and what it was. */
async function readings(read, isRight) {
  const begun = performance.now()
  const all = []
  const end = (at) => at > begun + 8000 || (all.at(-1)?.isRight && at > all.at(-1).since + 300)
  for (let since; !end(performance.now()); ) {
    const at = performance.now() - begun
    const right = isRight(await read())
    since = right ? (since ?? performance.now()) : undefined
    all.push({ at, isRight: right, since })
    await sleep(20)
  }
  return all
}

/** When the last read was called that got an old answer, ms. */
const lastOld = (all) => all.findLast(({ isRight }) => !isRight)?.at ?? 0

/** What makes a server not know these commands, on connections that were greeted before. */
const unknown =
  (...names) =>
  (words) =>
    words.length === 1 && names.includes(String(words[0])) ? ['NOSUCH'] : words

/** How often the server was sent a command. */
async function calls(redis, name) {
  const stats = await redis.info('commandstats')
  return Number(stats.match(`cmdstat_${name}:calls=(\\d+)`)?.[1] ?? 0)
}

describe('a master becomes a replica', () => {
  test('reads leave it, without an error', async () => {
    const id = await given()
    const manager = open()
    expect((await manager.getSession(id)).version).toBe(1)
    await pair.moveOn()
    const all = await readings(
      () => manager.getSession(id),
      ({ version }) => version === 2,
    )
    expect(all.at(-1).isRight).toBe(true)
    expect(lastOld(all)).toBeLessThan(ROLE_AGE + LATE)
  })

  test('the first read after a while is not answered by it', async () => {
    const id = await given()
    const manager = open()
    await manager.getSession(id)
    await pair.moveOn()
    await sleep(ROLE_AGE + LATE)
    const [one, [many]] = await Promise.all([manager.getSession(id), manager.getSessions([id])])
    expect([one.version, many.version]).toEqual([2, 2])
  })

  test('the cache is left, too', async () => {
    const id = await given()
    const manager = open({ cache: {} })
    await manager.getSession(id)
    const before = await calls(pair.redis, 'get')
    await manager.getSession(id)
    expect(await calls(pair.redis, 'get')).toBe(before)
    await pair.moveOn()
    const all = await readings(
      () => manager.getSession(id),
      ({ version }) => version === 2,
    )
    expect(all.at(-1).isRight).toBe(true)
    expect(lastOld(all)).toBeLessThan(LEASE + LATE)
  })

  test('no proof of the cache comes from it, however lately it was a master', async () => {
    const id = await given()
    const client = managers.keep(createRedisClient(pair.proxy.url))
    const [manager, neighbour] = [managers.open(client, { cache: {} }), managers.open(client)]
    await manager.getSession(id)
    await sleep(ROLE_AGE)
    await neighbour.getSession(id) // Confirms the role.
    await pair.moveOn()
    await sleep(ROLE_AGE - 250)
    expect((await manager.getSession(id)).version).toBe(1) // Asks for the next proof.
    await until(async () => (await manager.getSession(id)).version === 2, 1000)
  })

  test('where HELLO is refused, ROLE is asked', async () => {
    const id = await given()
    const manager = open()
    await manager.getSession(id)
    pair.proxy.rewritten = unknown('HELLO')
    await pair.moveOn()
    await sleep(ROLE_AGE + LATE)
    expect((await manager.getSession(id)).version).toBe(2)
  })

  test('where both are refused, it is not left', async () => {
    const id = await given()
    const manager = open()
    await manager.getSession(id)
    pair.proxy.rewritten = unknown('HELLO', 'ROLE')
    await pair.moveOn()
    for (let n = 0; n < 2; n++) {
      await sleep(ROLE_AGE + LATE)
      expect((await manager.getSession(id)).version).toBe(1)
    }
  })

  test("a client's own commands leave it", async () => {
    const id = await given()
    const client = managers.keep(createRedisClient(pair.proxy.url))
    const read = () => client.get(`session:${id}`)
    const isRight = (text) => JSON.parse(text).version === 2
    expect(isRight(await read())).toBe(false)
    await pair.moveOn()
    const all = await readings(read, isRight)
    expect(all.at(-1).isRight).toBe(true)
    // The old answer may come together with the news: it is the caller's, whatever it says.
    expect(lastOld(all)).toBeLessThan(ROLE_AGE + 1000)
  })

  test('it is left while it blocks on a command', async () => {
    const id = await given()
    const client = managers.keep(createRedisClient(pair.proxy.url))
    await client.ping()
    await client.get('a')
    await pair.moveOn()
    await sleep(ROLE_AGE + LATE)
    const begun = performance.now()
    const blocked = refusalOf(() => client.call('XREAD', 'BLOCK', 60_000, 'STREAMS', 'none', '$'))
    await until(async () => (await pair.redis.info('clients')).includes('blocked_clients:1'))
    const read = client.get(`session:${id}`)
    expect(await blocked).toBeInstanceOf(OutcomeUnknownError)
    expect(JSON.parse(await read).version).toBe(2)
    expect(performance.now() - begun).toBeLessThan(3000)
  })
})

describe('the question', () => {
  test('goes out once in two seconds, however many reads there are', async () => {
    const id = await given()
    const manager = open()
    await manager.getSession(id)
    const before = await calls(pair.redis, 'hello')
    const end = performance.now() + 2 * ROLE_AGE + ROLE_AGE / 2
    let reads = 0
    while (performance.now() < end) {
      await Promise.all([1, 2, 3].map(() => manager.getSession(id)))
      reads += 3
      await sleep(1)
    }
    expect(reads).toBeGreaterThan(200)
    expect((await calls(pair.redis, 'hello')) - before).toBe(2)
    expect(pair.proxy.connections).toBe(1)
  })

  test('is never sent alone', async () => {
    const id = await given()
    const manager = open()
    await manager.getSession(id)
    const before = await calls(pair.redis, 'hello')
    await sleep(2 * ROLE_AGE)
    expect(await calls(pair.redis, 'hello')).toBe(before)
  })
})
