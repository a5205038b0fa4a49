'use strict'

const { ClusterGroup } = require('./harness/cluster.js')
const { Managers } = require('./harness/managers.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

/** So many sessions that each master has some. */
const SESSIONS = 30

let group
const managers = new Managers()

beforeAll(async () => {
  group = await ClusterGroup.start({ masters: 3, replicas: 1 })
}, 60_000)
afterAll(() => group.stop())
afterEach(async () => {
  await managers.close()
  await group.settled()
}, 40_000)

const reader = () =>
  managers.open(group.url, { cache: { maxSessions: 1000 }, commandTimeoutMs: 15_000 })
const writer = () => managers.open(group.url, { commandTimeoutMs: 15_000 })

/** The reply of a node. */
async function ask(node, ...words) {
  const client = node.client()
  const reply = await client.call(...words)
  client.disconnect()
  return reply
}

/** How many `GET`s the masters have been sent. */
async function gets() {
  const stats = (await group.masters()).map((node) => ask(node, 'INFO', 'commandstats'))
  const counts = (await Promise.all(stats)).map((text) => /cmdstat_get:calls=(\d+)/.exec(text)?.[1])
  return counts.reduce((sum, count) => sum + Number(count ?? 0), 0)
}

const readAll = (manager, ids) => Promise.all(ids.map((id) => manager.getSession(id)))

/** Whether all are answered from memory. */
async function areKept(manager, ids) {
  const before = await gets()
  await readAll(manager, ids)
  return (await gets()) === before
}

/** Sessions on all masters, which the reader has in memory. */
async function kept(manager, write) {
  const states = Array.from({ length: SESSIONS }, () => makeState())
  await Promise.all(states.map((state) => write.createSession(state)))
  const ids = states.map(({ session_id: id }) => id)
  await until(() => areKept(manager, ids))
  return states
}

const idsOf = (states) => states.map(({ session_id: id }) => id)

const updateAll = (write, states) =>
  Promise.all(states.map((state) => write.updateSession(state.session_id, state)))

/** Whether the reader knows what is stored, within a moment. */
async function knows(manager, states, version) {
  const all = async () => (await readAll(manager, idsOf(states))).map((state) => state.version)
  await until(async () => (await all()).every((known) => known === version))
}

/** The slot of a session's partition. */
async function slotOf({ session_id: id }) {
  for (const node of await group.masters()) {
    const [key] = await ask(node, 'KEYS', `session:{*}:${id}`)
    if (key) return ask(node, 'CLUSTER', 'KEYSLOT', key)
  }
  throw new Error('nobody has it')
}

test('sessions of all masters are answered from memory until somebody changes them', async () => {
  const [manager, write] = [reader(), writer()]
  const states = await kept(manager, write)
  for (let version = 2; version < 5; version++) {
    await updateAll(write, states)
    await knows(manager, states, version)
    await until(() => areKept(manager, idsOf(states)))
  }
  await write.deleteSession(states[0].session_id)
  await until(async () => (await manager.getSession(states[0].session_id)) === null)
})

test('a lost connection to one master leaves nothing that may have changed', async () => {
  const [manager, write] = [reader(), writer()]
  const states = await kept(manager, write)
  for (const [n, node] of (await group.masters()).entries()) {
    await ask(node, 'CLIENT', 'KILL', 'TYPE', 'normal')
    await updateAll(write, states)
    await knows(manager, states, n + 2)
    await until(() => areKept(manager, idsOf(states)))
  }
})

test('what is read at the new master of a slot is tracked there', async () => {
  const [manager, write] = [reader(), writer()]
  const states = await kept(manager, write)
  const slot = await slotOf(states[0])
  const from = await group.masterOf(slot)
  const to = (await group.masters()).find((node) => node !== from)
  let version = 1
  const changes = async () => {
    await updateAll(write, states)
    await knows(manager, states, ++version)
  }
  // While the slot moves, its keys are found at both.
  await group.moveSlot(slot, to, changes)
  for (let n = 0; n < 3; n++) {
    await changes()
    await until(() => areKept(manager, idsOf(states)))
  }
  await group.moveSlot(slot, from)
  await changes()
}, 60_000)

test('after a failover nothing old is answered', async () => {
  const [manager, write] = [reader(), writer()]
  const states = await kept(manager, write)
  await group.failover(await group.masterOf(await slotOf(states[0])))
  for (let version = 2; version < 5; version++) {
    await updateAll(write, states)
    await knows(manager, states, version)
    await until(() => areKept(manager, idsOf(states)))
  }
}, 60_000)

test('under changes from everywhere and slots that move, no read goes back', async () => {
  const [manager, write] = [reader(), writer()]
  const states = await kept(manager, write)
  const ids = idsOf(states)
  const slot = await slotOf(states[0])
  const from = await group.masterOf(slot)
  const to = (await group.masters()).find((node) => node !== from)
  let isOver = false
  const writing = (async () => {
    while (!isOver) await updateAll(write, states)
  })()
  const newest = new Map()
  const wentBack = []
  const reading = (async () => {
    while (!isOver) {
      for (const { session_id: id, version } of await readAll(manager, ids)) {
        if (version < (newest.get(id) ?? 0)) wentBack.push([id, newest.get(id), version])
        newest.set(id, version)
      }
      await new Promise(setImmediate) // Answers from memory leave no turn to anybody else.
    }
  })()
  for (let n = 0; n < 3; n++) {
    await group.moveSlot(slot, to)
    await group.moveSlot(slot, from)
  }
  isOver = true
  await Promise.all([writing, reading])
  expect(wentBack).toEqual([])
  const stored = await readAll(write, ids)
  await until(async () => {
    const known = await readAll(manager, ids)
    return known.every(({ version }, n) => version === stored[n].version)
  }, 2000)
}, 60_000)
