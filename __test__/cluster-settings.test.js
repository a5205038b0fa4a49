'use strict'

const { RedisStateManager, createRedisClient } = require('..')
const { ClusterGroup } = require('./harness/cluster.js')
const { RedisServer, freePort } = require('./harness/redis.js')
const { TcpProxy } = require('./harness/proxy.js')
const { thrownBy } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const PASSWORD = 'p@ss:/word'

let group
const open = []

beforeAll(async () => {
  group = await ClusterGroup.start({ replicas: 0, password: PASSWORD })
}, 30_000)
afterAll(() => group.stop())
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.quit?.() ?? one.stop()))
  await group.flush()
})

/** The outcome of a read by a client of its own: the session, or the error. */
async function read(server, id = 'a') {
  const client = createRedisClient(server, { commandTimeoutMs: 1500 })
  client.on('error', () => {})
  open.push(client)
  const manager = new RedisStateManager(client)
  return manager.getSession(id).catch((error) => error)
}

test('one node of the URL is enough, and settings in parts mean the same', async () => {
  const manager = new RedisStateManager(group.url)
  const state = makeState()
  await manager.createSession(state)
  await manager.close()
  const [{ host, port }] = group.nodes
  const nobody = { host, port: await freePort() }
  for (const server of [
    group.url,
    `redis-cluster://:${encodeURIComponent(PASSWORD)}@${host}:${nobody.port},${host}:${port}/0`,
    { nodes: [nobody, { host, port }], password: PASSWORD },
  ]) {
    expect(await read(server, state.session_id)).toMatchObject({ version: 1 })
  }
})

test('natMap says where the nodes are that the cluster announces', async () => {
  const proxies = await Promise.all(group.nodes.map(({ port }) => TcpProxy.start(port)))
  open.push(...proxies)
  const entries = group.nodes.map(({ host, port }, at) => {
    return [`${host}:${port}`, { host: 'localhost', port: proxies[at].port }]
  })
  const nodes = [{ host: 'localhost', port: proxies[0].port }]
  const natMap = Object.fromEntries(entries)
  const client = createRedisClient({ nodes, natMap, password: PASSWORD })
  open.push(client)
  const manager = new RedisStateManager(client)
  const states = Array.from({ length: 30 }, () => makeState())
  await Promise.all(states.map((state) => manager.createSession(state)))
  expect(client.options).toMatchObject({ nodes, natMap })
  // Each node was reached by its proxy.
  expect(proxies.every(({ connections }) => connections > 0)).toBe(true)
})

test('the number of partitions is written down, and another one is refused', async () => {
  const url = (count) => `${group.url}?partitions=${count}`
  expect(await read(url(8))).toBeNull()
  expect(await read(group.url)).toBeNull()
  expect(await read(url(8))).toBeNull()
  const refused = await read(url(16))
  expect(refused).toMatchObject({ name: 'InvalidStateError', field: 'partitions' })
  expect(refused.message).toContain('this cluster has 8 (its key synckairos:partitions)')
})

describe('an instance of another library', () => {
  const first = () => ({ host: '127.0.0.1', port: group.nodes[0].port })
  const login = `:${encodeURIComponent(PASSWORD)}@`
  const redisOptions = { password: PASSWORD }

  test.each([
    ['ioredis', ({ Cluster }) => new Cluster([first()], { redisOptions })],
    ['ioredis', ({ Cluster }) => new Cluster([`127.0.0.1:${first().port}`], { redisOptions })],
    ['ioredis5', ({ Cluster }) => new Cluster([`redis://${login}127.0.0.1:${first().port}`])],
    [
      'redis5',
      ({ createCluster }) =>
        createCluster({ rootNodes: [{ socket: first() }], defaults: { password: PASSWORD } }),
    ],
    [
      'redis6',
      ({ createCluster }) =>
        createCluster({ rootNodes: [{ url: `redis://${login}127.0.0.1:${first().port}` }] }),
    ],
  ])('of %s is adopted, and ends with its manager', async (library, make) => {
    const instance = make(require(library))
    instance.on('error', () => {})
    const manager = new RedisStateManager(instance)
    await manager.createSession(makeState({ session_id: 'a' }))
    expect(await read(group.url)).toMatchObject({ version: 1 })
    await manager.close()
    await until(() => instance.status === 'end' || instance.isOpen === false)
  })

  test('of node-redis 4 is refused: it does not tell its settings', () => {
    const { createCluster } = require('redis4')
    const error = thrownBy(() => new RedisStateManager(createCluster({ rootNodes: [{}] })))
    expect(error.field).toBe('redis.rootNodes')
    expect(error.message).toContain('redis-cluster://')
  })
})

test.each([
  ['keyPrefix', { keyPrefix: '{app}:session:' }],
  ['updatesChannel', { updatesChannel: 'updates{' }],
  ['wsChannelPrefix', { wsChannelPrefix: '{}:' }],
])('a name with braces of its own works: %s', async (_field, options) => {
  const manager = new RedisStateManager(group.url, undefined, undefined, options)
  const [updates, messages] = [[], []]
  manager.subscribeToUpdates((id, state) => updates.push([id, state?.version]))
  manager.subscribeToWebSocket((id, message) => messages.push([id, message]))
  await manager.subscribed()
  const states = Array.from({ length: 8 }, () => makeState())
  const ids = states.map((state) => state.session_id)
  for (const state of states) {
    await manager.createSession(state)
    await manager.broadcastToSession(state.session_id, 'hello')
  }
  const versions = (await manager.getSessions(ids)).map((state) => state?.version)
  expect(versions).toEqual(ids.map(() => 1))
  await until(() => updates.length === 8 && messages.length === 8)
  expect(updates).toEqual(expect.arrayContaining(ids.map((id) => [id, 1])))
  expect(messages).toEqual(expect.arrayContaining(ids.map((id) => [id, 'hello'])))
  await manager.close()
})

describe('an error names the server and what to change', () => {
  const at = () => `127.0.0.1:${group.nodes[0].port}`

  test('a cluster URL of a server of its own', async () => {
    const server = await RedisServer.start()
    open.push(server)
    const error = await read(`redis-cluster://127.0.0.1:${server.port}`)
    expect(error.name).toBe('RedisUnavailableError')
    expect(error.message).toContain(`127.0.0.1:${server.port}: it is not a part of a cluster`)
    expect(error.message).toContain('redis://')
  })

  test('another database than the first', async () => {
    const error = await read(`redis://:${encodeURIComponent(PASSWORD)}@${at()}/3`)
    expect(error.message).toContain(`${at()}: it is a part of a cluster, which has no database`)
  })

  test('a wrong password', async () => {
    const error = await read(`redis-cluster://:wrong@${at()}`)
    expect(error.message).toContain(`${at()}: WRONGPASS`)
    expect(error.message).not.toContain('wrong@')
  })

  test.each([
    ['redis-cluster://h:1/1', /^url/, /no database but 0/],
    ['redis-cluster://h:1,', /^url/, /cannot be read/],
    ['redis-cluster://u:secret@h:1#x', /^url/, /cannot be read/],
    ['redis-cluster://h?partitions=0', /^redis.partitions/, /from 1 to 1024/],
    ['redis-cluster://h?partitions=many', /^redis.partitions/, /from 1 to 1024/],
    [{ nodes: [] }, /^redis.nodes/, /one node at least/],
    [{ nodes: [{ host: 'h', port: 0 }] }, /^redis.nodes\[0\].port/, /from 1 to 65535/],
    [{ nodes: [{ host: 'h' }], db: 1 }, /^redis.db/, /no database but 0/],
    [{ nodes: [{ host: 'h' }], host: 'h' }, /^redis.host/, /leave it out/],
    [{ nodes: [{ host: 'h' }], natMap: { h: {} } }, /^redis.natMap/, /host:port/],
  ])('%j is refused before anything is opened', (server, field, reason) => {
    const error = thrownBy(() => createRedisClient(server))
    expect(error.name).toBe('InvalidStateError')
    expect(error.field).toMatch(field)
    expect(error.message).toMatch(reason)
    expect(error.message).not.toContain('secret')
  })
})
