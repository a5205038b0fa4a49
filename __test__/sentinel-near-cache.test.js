'use strict'

const { Managers } = require('./harness/managers.js')
const { SentinelGroup } = require('./harness/sentinel.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const SESSIONS = 30

let group
const managers = new Managers()

beforeAll(async () => {
  group = await SentinelGroup.start()
}, 60_000)
afterAll(() => group.stop())
afterEach(async () => {
  await managers.close()
  await group.settled()
}, 40_000)

const reader = () =>
  managers.open(group.url, { cache: { maxSessions: 1000 }, commandTimeoutMs: 15_000 })
const writer = () => managers.open(group.url, { commandTimeoutMs: 15_000 })

/** The reply of a server. */
async function ask(server, ...words) {
  const client = server.client()
  const reply = await client.call(...words)
  client.disconnect()
  return reply
}

/** How many `GET`s the master has been sent. */
async function gets() {
  const stats = await ask(await group.master(), 'INFO', 'commandstats')
  return Number(/cmdstat_get:calls=(\d+)/.exec(stats)?.[1] ?? 0)
}

const readAll = (manager, states) =>
  Promise.all(states.map(({ session_id: id }) => manager.getSession(id)))

/** Whether all are answered from memory. */
async function areKept(manager, states) {
  const before = await gets()
  await readAll(manager, states)
  return (await gets()) === before
}

/** Sessions that the reader has in memory. */
async function kept(manager, write) {
  const states = Array.from({ length: SESSIONS }, () => makeState())
  await Promise.all(states.map((state) => write.createSession(state)))
  await until(() => areKept(manager, states))
  return states
}

/** Writes all, and waits until the reader knows it and has it in memory again. */
async function updateAll(manager, write, states, version) {
  await Promise.all(states.map((state) => write.updateSession(state.session_id, state)))
  await until(async () => {
    const known = await readAll(manager, states)
    return known.every((state) => state.version === version)
  })
  await until(() => areKept(manager, states))
}

test('sessions are answered from memory until somebody changes them', async () => {
  const [manager, write] = [reader(), writer()]
  const states = await kept(manager, write)
  for (let version = 2; version < 5; version++) await updateAll(manager, write, states, version)
  await write.deleteSession(states[0].session_id)
  await until(async () => (await manager.getSession(states[0].session_id)) === null)
})

test('after a planned failover nothing old is answered, and the new master is asked to tell', async () => {
  const [manager, write] = [reader(), writer()]
  const states = await kept(manager, write)
  await group.failover()
  for (let version = 2; version < 5; version++) await updateAll(manager, write, states, version)
}, 60_000)

test('after the death of the master nothing old is answered', async () => {
  const [manager, write] = [reader(), writer()]
  const states = await kept(manager, write)
  const master = await group.master()
  await master.kill()
  await until(async () => (await group.master()) !== master, 20_000)
  for (let version = 2; version < 5; version++) await updateAll(manager, write, states, version)
  await master.up()
}, 60_000)

test('a master that stands still and is replaced is not believed for longer than 5 s', async () => {
  const [manager, write] = [reader(), writer()]
  const states = await kept(manager, write)
  const master = await group.master()
  master.pause()
  await until(async () => (await group.master()) !== master, 20_000)
  await Promise.all(states.map((state) => write.updateSession(state.session_id, state)))
  const changed = performance.now()
  await until(async () => {
    const known = await readAll(manager, states)
    return known.every((state) => state.version === 2)
  }, 15_000)
  expect(performance.now() - changed).toBeLessThan(5000)
  // It believes that it is the master until a sentinel tells it otherwise.
  master.resume()
  await updateAll(manager, write, states, 3)
}, 60_000)
