'use strict'

const { createTestStore } = require('../testing/index.js')
const { CallableProcess } = require('./harness/callable-process.js')
const { ClusterGroup } = require('./harness/cluster.js')
const { Managers } = require('./harness/managers.js')
const { RedisServer } = require('./harness/redis.js')
const { makeState } = require('./harness/sessions.js')
const { sleep, until } = require('./harness/until.js')

const managers = new Managers()
afterEach(() => managers.close())

/** What an instance hears: versions, `null` where a session is gone, by session. */
async function listen(url) {
  const heard = new Map()
  const of = (id) => heard.get(id) ?? heard.set(id, []).get(id)
  const manager = managers.open(url)
  manager.subscribeToUpdates((id, state) => of(id).push(state?.version ?? null))
  await manager.subscribed()
  return of
}

const announcing = (url, ttlSeconds) => managers.open(url, { ttlSeconds, announceExpiry: true })

describe('one server', () => {
  let server
  beforeAll(async () => {
    server = await RedisServer.start()
  })
  afterAll(() => server.stop())

  test('what an instance wrote before it died is told by another one', async () => {
    const of = await listen(server.url)
    const instance = managers.keep(new CallableProcess(WRITER, { REDIS_URL: server.url }))
    const states = [makeState(), makeState()]
    await instance.call('create', states)
    await instance.kill()
    const ids = states.map(({ session_id: id }) => id)
    await sleep(2000)
    for (const id of ids) expect(of(id)).toEqual([1])
    announcing(server.url, 1)
    await until(() => ids.every((id) => of(id).length === 2))
    for (const id of ids) expect(of(id)).toEqual([1, null])
  }, 30_000)

  test('what expires while Redis cannot be reached is told when it is back', async () => {
    const of = await listen(server.url)
    const manager = announcing(server.url, 3)
    const { session_id: id } = await created(manager)
    await server.kill()
    await sleep(3000)
    await server.up()
    await until(() => of(id).includes(null), 20_000)
    expect(of(id)).toEqual([1, null])
  }, 40_000)

  test('a full memory keeps nobody from being told', async () => {
    const of = await listen(server.url)
    const manager = announcing(server.url, 2)
    const { session_id: id } = await created(manager)
    const admin = server.client()
    await admin.config('SET', 'maxmemory', '1')
    try {
      await expect(manager.createSession(makeState())).rejects.toThrow('OOM')
      await until(() => of(id).includes(null))
    } finally {
      await admin.config('SET', 'maxmemory', '0')
    }
  }, 30_000)

  test('deletions and expiries leave nothing behind', async () => {
    const of = await listen(server.url)
    const manager = announcing(server.url, 1)
    const { session_id: expired } = await created(manager)
    const { session_id: deleted } = await created(manager)
    await manager.deleteSession(deleted)
    await until(() => of(expired).includes(null))
    expect(await server.client().exists('synckairos:expiries:session:')).toBe(0)
  }, 30_000)
})

describe('a cluster', () => {
  let group
  beforeAll(async () => {
    group = await ClusterGroup.start({ replicas: 0 })
  }, 60_000)
  afterAll(() => group.stop())

  test('sessions whose slot moves are told once, and none while it lives', async () => {
    const of = await listen(group.url)
    const manager = announcing(group.url, 12)
    const states = Array.from({ length: 20 }, () => makeState())
    await Promise.all(states.map((state) => manager.createSession(state)))
    const [node] = await group.masters()
    const client = node.client()
    const [key] = await client.keys('session:{*}:*')
    const slot = await client.cluster('KEYSLOT', key)
    client.disconnect()
    const to = (await group.masters()).find((other) => other !== node)
    // The keys have moved and the slot has not, for longer than a round takes.
    await group.moveSlot(slot, to, () => sleep(4000))
    for (const { session_id: id } of states) expect(of(id)).toEqual([1])
    await until(() => states.every(({ session_id: id }) => of(id).length > 1), 30_000)
    await sleep(2500)
    for (const { session_id: id } of states) expect(of(id)).toEqual([1, null])
  }, 90_000)
})

test('in tests what is refused on purpose is a call of the service', async () => {
  const store = managers.keep(createTestStore())
  const manager = store.manager({ ttlSeconds: 60, announceExpiry: true })
  const heard = []
  manager.subscribeToUpdates((_id, state) => heard.push(state))
  await manager.subscribed()
  await created(manager)
  store.refuse('NOPERM on purpose', 1)
  store.clock.advance(62_000)
  await until(() => heard.includes(null))
  await expect(manager.getSession('none')).rejects.toThrow('NOPERM on purpose')
})

async function created(manager) {
  const state = makeState()
  await manager.createSession(state)
  return state
}

const WRITER = `
  const { RedisStateManager } = require('./index.js')
  const options = { ttlSeconds: 1, announceExpiry: true }
  const manager = new RedisStateManager(process.env.REDIS_URL, null, null, options)
  calls.create = (states) => Promise.all(states.map((state) => manager.createSession(state)))
`
