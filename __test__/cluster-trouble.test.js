'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { RedisStateManager, createRedisClient } = require('..')
const { ClusterGroup } = require('./harness/cluster.js')
const { RedisServer, freePort } = require('./harness/redis.js')
const { until } = require('./harness/until.js')

const clients = []
afterEach(() => Promise.all(clients.splice(0).map((client) => client.quit())))

function open(server, options) {
  const client = createRedisClient(server, options)
  client.on('error', () => {})
  clients.push(client)
  return client
}

/** The outcome of a read: the session, or the error. */
function read(client) {
  const manager = new RedisStateManager(client, null, null, { commandTimeoutMs: 800 })
  return manager.getSession('a').catch((error) => error)
}

/** The arguments of a node of a cluster, which has no slots. */
const ofCluster = async () => ['--cluster-enabled', 'yes', '--cluster-port', await freePort()]

test('a server that becomes a part of a cluster is refused until it is one of its own again', async () => {
  const args = []
  const server = await RedisServer.start(args)
  try {
    const client = open(server.url)
    expect(await read(client)).toBeNull()
    await server.kill()
    args.push(...(await ofCluster()))
    await server.up()
    await until(async () =>
      /was not when this client first connected/.test((await read(client))?.message),
    )
    expect(await read(client)).toMatchObject({ name: 'RedisUnavailableError' })
    await server.kill()
    args.length = 0
    await server.up()
    await until(async () => (await read(client)) === null)
  } finally {
    await server.stop()
  }
}, 20_000)

test('a part of a cluster that is reached by a Unix socket is refused, and is not given up', async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-'))
  const socket = path.join(directory, 'redis.sock')
  const server = await RedisServer.start([...(await ofCluster()), '--unixsocket', socket])
  try {
    const client = open(`unix://${socket}`)
    for (let round = 0; round < 2; round++) {
      const error = await read(client)
      expect(error).toMatchObject({ name: 'RedisUnavailableError' })
      expect(error.message).toContain('name one of its nodes by host and port')
    }
  } finally {
    await server.stop()
    fs.rmSync(directory, { recursive: true })
  }
})

describe('a cluster', () => {
  let group
  beforeAll(async () => {
    group = await ClusterGroup.start({ replicas: 0 })
  }, 30_000)
  afterAll(() => group.stop())

  const onAll = (...words) => Promise.all(group.nodes.map((node) => node.client().call(...words)))

  /** The node that has a key, and another one. */
  async function nodesFor(key) {
    const slot = await group.nodes[0].client().call('CLUSTER', 'KEYSLOT', key)
    const busy = await group.masterOf(Number(slot))
    return { busy, idle: group.nodes.find((node) => node !== busy) }
  }

  test('is used once its memory is not full any more', async () => {
    await group.flush()
    await onAll('CONFIG', 'SET', 'maxmemory', '1')
    try {
      const client = open(group.url)
      const error = await read(client)
      expect(error).toMatchObject({ name: 'RedisUnavailableError' })
      expect(error.message).toContain('OOM ')
      await onAll('CONFIG', 'SET', 'maxmemory', '0')
      expect(await read(client)).toBeNull()
      // What was agreed on before can be read all the same.
      await onAll('CONFIG', 'SET', 'maxmemory', '1')
      expect(await read(open(group.url))).toBeNull()
    } finally {
      await onAll('CONFIG', 'SET', 'maxmemory', '0')
    }
  })

  test('whose nodes have no names yet is reached by their addresses', async () => {
    await onAll('CONFIG', 'SET', 'cluster-preferred-endpoint-type', 'hostname')
    try {
      const client = open(group.nodes[0].url, { commandTimeoutMs: 3000 })
      const replies = ['a', 'b', 'c', 'd', 'e'].map((key) => client.set(key, 1))
      expect(await Promise.all(replies)).toEqual(replies.map(() => 'OK'))
    } finally {
      await onAll('CONFIG', 'SET', 'cluster-preferred-endpoint-type', 'ip')
    }
  })

  test('is closed as soon as the last answer has come', async () => {
    const client = open(group.url)
    const manager = new RedisStateManager(client)
    const ids = Array.from({ length: 50 }, (_, at) => `s${at}`)
    await Promise.all(ids.map((id) => manager.getSession(id)))
    const last = manager.getSession('s0')
    const begun = Date.now()
    await client.quit()
    expect(await last).toBeNull()
    expect(Date.now() - begun).toBeLessThan(500)
  })

  test('has no outage when one node cuts a connection that owes nothing, and another is busy', async () => {
    const client = open(group.url, { commandTimeoutMs: 20_000 })
    await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((key) => client.get(key)))
    const outages = []
    client.on('error', (error) => outages.push(error.message))
    const { busy, idle } = await nodesFor('list')
    const blocked = client.blpop('list', 5)
    const ids = async () => {
      const list = await idle.client().call('CLIENT', 'LIST')
      return [...list.matchAll(/\bid=(\d+) .*name=synckairos-state/g)].map(([, id]) => id)
    }
    const before = await ids()
    expect(before.length).toBeGreaterThan(0)
    await Promise.all(before.map((id) => idle.client().call('CLIENT', 'KILL', 'ID', id)))
    await until(async () => (await ids()).some((id) => !before.includes(id)))
    await busy.client().lpush('list', 1)
    expect(await blocked).toEqual(['list', '1'])
    expect(outages).toEqual([])
  }, 20_000)
})
