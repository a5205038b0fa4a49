'use strict'

const { createRedisClient } = require('../index.js')
const { ClusterGroup } = require('./harness/cluster.js')
const { ManagedServer } = require('./harness/managed.js')
const { Managers } = require('./harness/managers.js')
const { TcpProxy } = require('./harness/proxy.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

/** So many sessions that each master has some. */
const SESSIONS = 60

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

/** By the address of one node: the server itself tells that it is a cluster. */
const urlOf = ({ host, port }) => `redis://${host}:${port}`

/** The cluster, each node behind its proxy. @param {{ port: number }[]} proxies */
function behind(proxies) {
  const nodes = proxies.map(({ port }) => ({ host: '127.0.0.1', port }))
  const announced = group.nodes.map(({ host, port }) => `${host}:${port}`)
  const natMap = Object.fromEntries(announced.map((address, n) => [address, nodes[n]]))
  return { nodes, natMap }
}

/** What a manager hears of each session: versions, `null` for a deletion, and what is broadcast. */
async function listener(server = group.url) {
  const logger = recordingLogger()
  const manager = managers.open(server, { logger, commandTimeoutMs: 15_000 })
  const heard = new Map()
  const of = (id) => heard.get(id) ?? heard.set(id, []).get(id)
  manager.subscribeToUpdates((id, state) => of(id).push(state?.version ?? null))
  manager.subscribeToWebSocket((id, message) => of(id).push(message))
  await manager.subscribed()
  return { manager, of, warned: logger.told.warn, gaps: () => gapsOf(logger) }
}

const gapsOf = (logger) => logger.told.warn.map(({ gap }) => gap).filter(Boolean)

const writer = () => managers.open(group.url, { commandTimeoutMs: 15_000 })

/** Sessions on all masters, which the listener has heard of. */
async function known(manager, of, count = SESSIONS) {
  const states = Array.from({ length: count }, () => makeState())
  await Promise.all(states.map((state) => manager.createSession(state)))
  await until(() => states.every(({ session_id: id }) => of(id).includes(1)))
  return states
}

const update = (manager, states) =>
  Promise.all(states.map((state) => manager.updateSession(state.session_id, state)))

/** The key of a session, and the slot of its partition. */
async function placeOf({ session_id: id }) {
  for (const node of await group.masters()) {
    const client = node.client()
    const [key] = await client.keys(`session:{*}:${id}`)
    const slot = key && (await client.cluster('KEYSLOT', key))
    client.disconnect()
    if (key) return { key, slot }
  }
  throw new Error('nobody has it')
}

/** Those of the sessions that this node has. */
async function onNode(node, states) {
  const client = node.client()
  const keys = await client.keys('session:{*}:*')
  client.disconnect()
  const ids = new Set(keys.map((key) => key.slice(key.indexOf('}:') + 2)))
  return states.filter(({ session_id: id }) => ids.has(id))
}

/** Ends the connections of subscribers to a node. */
async function cut(node) {
  const client = node.client()
  await client.client('KILL', 'TYPE', 'pubsub')
  client.disconnect()
}

test('what happens to sessions on all masters is heard, once and in order', async () => {
  for (const url of [group.url, urlOf(group.nodes[1])]) {
    const { of } = await listener(url)
    const manager = writer()
    const states = await known(manager, of)
    for (let n = 0; n < 3; n++) await update(manager, states)
    await Promise.all(states.map((state) => manager.broadcastToSession(state.session_id, { n: 1 })))
    await Promise.all(states.map((state) => manager.deleteSession(state.session_id)))
    await until(() => states.every(({ session_id: id }) => of(id).at(-1) === null))
    for (const { session_id: id } of states) expect(of(id)).toEqual([1, 2, 3, 4, { n: 1 }, null])
    await managers.close()
  }
})

test('who listens has one connection for it to each master, and leaves none behind', async () => {
  const { manager } = await listener()
  const counted = async () => {
    const nodes = (await group.masters()).map(async (node) => {
      const client = node.client()
      const list = await client.client('LIST', 'TYPE', 'pubsub')
      client.disconnect()
      return list.split('\n').filter((line) => line.includes('name=synckairos')).length
    })
    return Promise.all(nodes)
  }
  expect(await counted()).toEqual([1, 1, 1])
  await manager.close()
  await until(async () => (await counted()).every((count) => count === 0))
})

test("a lost connection to one master is a gap for that master's sessions alone", async () => {
  const { manager, of, gaps } = await listener()
  const write = writer()
  const states = await known(write, of)
  const [node] = await group.masters()
  const its = await onNode(node, states)
  expect(its.length).toBeGreaterThan(0)
  expect(its.length).toBeLessThan(states.length)
  await cut(node)
  await until(() => gaps().length > 0)
  await manager.subscribed()
  expect(gaps()).toEqual([
    { lastedMs: expect.any(Number), known: its.length, reread: its.length, changed: 0 },
  ])
  await update(write, states)
  await until(() => states.every(({ session_id: id }) => of(id).length === 2))
})

test('what a lost connection has missed is caught up on', async () => {
  const proxies = await Promise.all(group.nodes.map(({ port }) => TcpProxy.start(port)))
  const { manager, of, gaps } = await listener(behind(proxies))
  const write = writer()
  const states = await known(write, of)
  const [node] = await group.masters()
  const its = await onNode(node, states)
  const proxy = proxies[group.nodes.indexOf(node)]
  proxy.mode = 'refuse'
  proxy.reset()
  await update(write, states)
  await write.deleteSession(its[0].session_id)
  const others = states.filter((state) => !its.includes(state))
  await until(() => others.every(({ session_id: id }) => of(id).at(-1) === 2))
  for (const { session_id: id } of its) expect(of(id)).toEqual([1])
  proxy.mode = 'pass'
  await until(() => gaps().length > 0)
  await manager.subscribed()
  const [{ known: heardOf, changed }] = gaps()
  expect([heardOf, changed]).toEqual([its.length, its.length])
  expect(of(its[0].session_id)).toEqual([1, null])
  for (const { session_id: id } of its.slice(1)) expect(of(id)).toEqual([1, 2])
  await managers.close()
  await Promise.all(proxies.map((one) => one.stop()))
})

test('a connection that answers and brings no messages is replaced', async () => {
  const proxies = await Promise.all(group.nodes.map(({ port }) => TcpProxy.start(port)))
  const { manager, of, warned } = await listener(behind(proxies))
  const write = writer()
  const states = await known(write, of)
  for (const proxy of proxies) {
    proxy.omitted = />3\r\n\$8\r\nsmessage\r\n\$\d+\r\n[^\r]*\r\n\$\d+\r\n[^\r]*\r\n/g
  }
  await update(write, states)
  const missed = () => warned.some(({ reason }) => /published to itself/.test(reason))
  await until(missed, 25_000)
  for (const proxy of proxies) proxy.omitted = undefined
  await manager.subscribed()
  await until(() => states.every(({ session_id: id }) => of(id).at(-1) === 2), 20_000)
  await managers.close()
  await Promise.all(proxies.map((one) => one.stop()))
}, 60_000)

test('nodes that speak RESP2 alone are listened to, and what was missed is caught up on', async () => {
  const proxies = await Promise.all(
    group.nodes.map(({ port }) => ManagedServer.start(port, { refuses: ['HELLO'] })),
  )
  const { manager, of, gaps } = await listener(behind(proxies))
  const write = writer()
  const states = await known(write, of)
  for (const proxy of proxies) proxy.cut()
  await update(write, states)
  await until(() => states.every(({ session_id: id }) => of(id).at(-1) === 2))
  await until(() => gaps().length > 0)
  await manager.subscribed()
  await update(write, states)
  await until(() => states.every(({ session_id: id }) => of(id).at(-1) === 3))
  for (const { session_id: id } of states) expect(of(id)).toEqual([1, 2, 3])
  await managers.close()
  await Promise.all(proxies.map((one) => one.stop()))
})

test('a slot that moves is followed, and a gap for its sessions alone', async () => {
  const { of, gaps } = await listener()
  const write = writer()
  const states = await known(write, of)
  const { slot } = await placeOf(states[0])
  const places = await Promise.all(states.map(placeOf))
  const its = states.filter((_, n) => places[n].slot === slot)
  const from = await group.masterOf(slot)
  const to = (await group.masters()).find((node) => node !== from)
  await group.moveSlot(slot, to)
  await until(() => gaps().length > 0)
  for (const gap of gaps()) expect(gap.known).toBe(its.length)
  for (let version = 2; version < 5; version++) {
    await update(write, states)
    await until(() => states.every(({ session_id: id }) => of(id).at(-1) === version))
  }
  for (const { session_id: id } of states) expect(of(id)).toEqual([1, 2, 3, 4])
  await group.moveSlot(slot, from)
  await update(write, states)
  await until(() => states.every(({ session_id: id }) => of(id).at(-1) === 5))
}, 60_000)

describe.each([
  ['a planned failover', (master) => group.failover(master)],
  [
    'the death of a master',
    async (master) => {
      const [replica] = await group.replicasOf(master)
      await master.kill()
      await until(async () => (await group.masters()).includes(replica), 20_000)
      return () => master.up()
    },
  ],
])('%s', (_, happens) => {
  test('is survived: what is written meanwhile and after it is heard, and nothing goes back', async () => {
    const { manager, of } = await listener()
    const write = writer()
    const states = await known(write, of)
    let isOver = false
    const writing = (async () => {
      while (!isOver) await update(write, states)
    })()
    const undo = await happens(await group.masterOf((await placeOf(states[0])).slot))
    await manager.subscribed()
    isOver = true
    await writing
    await update(write, states)
    const stored = await Promise.all(states.map(({ session_id: id }) => manager.getSession(id)))
    await until(() => stored.every(({ session_id: id, version }) => of(id).at(-1) === version))
    for (const { session_id: id } of states) {
      expect(of(id)).toEqual([...new Set(of(id))].sort((a, b) => a - b))
    }
    if (typeof undo === 'function') await undo()
  }, 90_000)
})

describe("a client's own subscriptions", () => {
  test('hear what is published at any node, and go on at another master when one dies', async () => {
    const client = managers.keep(createRedisClient(group.url))
    const heard = []
    client.on('message', (channel, text) => heard.push([channel, text]))
    client.on('pmessage', (pattern, channel, text) => heard.push([pattern, channel, text]))
    client.on('error', () => {})
    await client.subscribe('news')
    await client.psubscribe('n*s')
    const publish = async (text) => {
      for (const node of await group.masters()) {
        const one = node.client()
        await one.publish('news', `${text} ${node.port}`)
        one.disconnect()
      }
    }
    await publish('first')
    await until(() => heard.length === 6)
    const listened = async () => {
      const nodes = (await group.masters()).map(async (node) => {
        const one = node.client()
        const [, count] = await one.pubsub('NUMSUB', 'news')
        one.disconnect()
        return { node, count: Number(count) }
      })
      return (await Promise.all(nodes)).find(({ count }) => count > 0)?.node
    }
    const master = await listened()
    await master.kill()
    await until(listened, 20_000)
    heard.length = 0
    await publish('second')
    await until(() => heard.length >= 4)
    await master.up()
  }, 60_000)
})
