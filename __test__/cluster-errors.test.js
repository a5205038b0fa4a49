'use strict'

// What is wrong with how a cluster is told, or with the cluster: each error says what to change.

const { createRedisClient } = require('..')
const { runScript } = require('./harness/child.js')
const { ClusterGroup } = require('./harness/cluster.js')
const { FakeServer } = require('./harness/fake-server.js')
const { Managers } = require('./harness/managers.js')
const { TcpProxy } = require('./harness/proxy.js')
const { RedisServer, freePort } = require('./harness/redis.js')
const { refusalOf } = require('./harness/refusal.js')
const { until } = require('./harness/until.js')

const PASSWORD = 's3cret'
/** As many as reach every node. */
const KEYS = Array.from({ length: 30 }, (_, at) => `key ${at}`)

let group
/** Servers of a test. */
const open = []
const managers = new Managers()

beforeAll(async () => {
  group = await ClusterGroup.start({ replicas: 0, password: PASSWORD })
}, 30_000)
afterAll(() => group?.stop())
afterEach(async () => {
  await managers.close()
  await Promise.all(open.splice(0).map((server) => server.stop()))
  await group.flush()
})

function connect(server) {
  const client = managers.keep(createRedisClient(server, { commandTimeoutMs: 1500 }))
  client.on('error', () => {})
  return client
}

/** A manager with a client of its own. */
const managerOf = (server, commandTimeoutMs = 1500) =>
  managers.open(connect(server), { commandTimeoutMs })

/** The error of a read. */
async function refused(server) {
  const error = await refusalOf(() => managerOf(server).getSession('a'))
  expect(error.stack).not.toContain(PASSWORD)
  return error
}

/** Settings in which the nodes are announced to be elsewhere. */
function settings(elsewhere) {
  const [{ host, port }] = group.nodes
  const entries = group.nodes.map((node, at) => [`${node.host}:${node.port}`, elsewhere(at)])
  return { nodes: [{ host, port }], natMap: Object.fromEntries(entries), password: PASSWORD }
}

test('another number of partitions than the one that is written down', async () => {
  expect(await managerOf(group.url).getSession('a')).toBeNull()
  const [{ host, port }] = group.nodes
  const error = await refused(`redis-cluster://:${PASSWORD}@${host}:${port}?partitions=16`)
  expect(error).toMatchObject({ name: 'InvalidStateError', field: 'partitions' })
  expect(error.message).toContain(`cluster (${host}:${port}): this cluster has 64`)
  expect(error.message).toContain('set partitions to 64, or leave it out')
})

test('a number of partitions that is none', async () => {
  await group.client().set('synckairos:partitions', 'many')
  const error = await refused(group.url)
  expect(error.name).toBe('RedisReplyError')
  expect(error.message).toContain('no number from 1 to 1024 (cluster (127.0.0.1:')
  expect(error.message).toContain('its key synckairos:partitions')
})

test('nodes that announce addresses which nobody can reach', async () => {
  const port = await freePort()
  const error = await refused(settings(() => ({ host: 'localhost', port })))
  expect(error.message).toContain(`localhost:${port}: connection refused; the cluster announces`)
  expect(error.message).toContain('set natMap')
})

test('nodes that were reached and are away are not said to be out of reach', async () => {
  const proxies = await Promise.all(group.nodes.map(({ port }) => TcpProxy.start(port)))
  open.push(...proxies)
  const client = connect(settings((at) => ({ host: 'localhost', port: proxies[at].port })))
  await Promise.all(KEYS.map((key) => client.get(key)))
  for (const proxy of proxies) {
    proxy.mode = 'refuse'
    proxy.reset()
  }
  const errors = await Promise.all(KEYS.map((key) => refusalOf(() => client.get(key))))
  for (const { message } of errors) {
    expect(message).toMatch(/localhost:\d+: /)
    expect(message).not.toContain('natMap')
  }
})

test('a cluster that has no slots yet, which is asked again soon', async () => {
  const server = await RedisServer.start(['--cluster-enabled', 'yes'])
  open.push(server)
  const error = await refused(server.url)
  expect(error.message).toContain(`127.0.0.1:${server.port}: it knows no master that has slots`)
  const reading = managerOf(server.url, 10_000).getSession('a')
  await server.client().call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383)
  expect(await reading).toBeNull()
})

test('a node that tells nonsense, beside one that does not', async () => {
  const fake = await FakeServer.start()
  open.push(fake)
  fake.answer('HELLO', () => {
    const words = ['mode', 'cluster', 'role', 'master', 'version', '7.0.0']
    return `%3\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`
  })
  const nonsense = { host: '127.0.0.1', port: fake.port }
  const error = await refused({ nodes: [nonsense] })
  expect(error.message).toContain(`127.0.0.1:${fake.port}: it does not tell who has which slots`)
  const [{ host, port }] = group.nodes
  const client = connect({ nodes: [nonsense, { host, port }], password: PASSWORD })
  expect(await client.get('a')).toBeNull()
})

test('many nodes, of which one is there: a few are named', async () => {
  const [{ host, port }] = group.nodes
  const nobody = { host, port: await freePort() }
  const nodes = Array.from({ length: 40 }, () => nobody)
  const error = await refused({ nodes })
  expect(error.message).toContain(' and 34 more)')
  const client = connect({ nodes: [...nodes.slice(0, 9), { host, port }], password: PASSWORD })
  expect(await client.get('a')).toBeNull()
})

test('a subscription that is not confirmed says why', async () => {
  const port = await freePort()
  const manager = managerOf(`redis-cluster://127.0.0.1:${port}`, 3000)
  manager.subscribeToUpdates(() => {})
  const error = await refusalOf(() => manager.subscribed())
  expect(error.message).toContain('was not confirmed in time (cluster (')
  expect(error.message).toContain(`127.0.0.1:${port}: connection refused`)
})

test('a client that is closed while it cannot reach a cluster leaves nothing behind', async () => {
  const port = await freePort()
  const { code, stderr, ms } = await runScript(`
    const { RedisStateManager } = require('.')
    const manager = new RedisStateManager('redis-cluster://user:${PASSWORD}@127.0.0.1:${port}')
    manager.subscribeToUpdates(() => {})
    manager.getSession('a').catch(() => {})
    setTimeout(() => manager.close(), 300)
  `)
  expect(code).toBe(0)
  expect(ms).toBeLessThan(4000)
  expect(stderr).not.toContain(PASSWORD)
})

test('every connection to every node ends with its client', async () => {
  const count = async () => {
    const lists = await Promise.all(group.nodes.map((node) => node.client().client('LIST')))
    return lists.join('').match(/name=synckairos/g)?.length ?? 0
  }
  const client = connect(group.url)
  const manager = managers.open(client)
  manager.subscribeToUpdates(() => {})
  await manager.subscribed()
  await Promise.all(KEYS.map((key) => client.get(key)))
  expect(await count()).toBeGreaterThanOrEqual(2 * group.nodes.length)
  await manager.close()
  await until(async () => (await count()) === 0)
})
