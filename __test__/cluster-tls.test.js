'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { Cluster } = require('ioredis')
const { createRedisClient } = require('..')
const { ClusterGroup } = require('./harness/cluster.js')
const { Managers } = require('./harness/managers.js')
const { refusalOf } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const CA = fs.readFileSync(path.join(__dirname, 'harness', 'tls', 'cert.pem'))
/** So many that each node has some. */
const SESSIONS = 30

let group
const managers = new Managers()

beforeAll(async () => {
  group = await ClusterGroup.start({ replicas: 0, tls: true })
}, 30_000)
afterAll(() => group?.stop())
afterEach(async () => {
  await managers.close()
  await group.flush()
})

const nodes = () => group.nodes.map(({ tlsPort }) => ({ host: 'localhost', port: tlsPort }))

test.each([
  ['settings that name nodes', () => ({ nodes: nodes(), tls: { ca: CA } })],
  ['the settings of one server', () => ({ ...nodes()[0], tls: { ca: CA } })],
  [
    "an instance of ioredis' Cluster",
    () => new Cluster(nodes(), { redisOptions: { tls: { ca: CA } } }),
  ],
])('every node is spoken to with TLS by %s', async (_what, serverOf) => {
  const manager = managers.open(serverOf())
  const heard = []
  manager.subscribeToUpdates((id) => heard.push(id))
  await manager.subscribed()
  const states = Array.from({ length: SESSIONS }, () => makeState())
  await Promise.all(states.map((state) => manager.createSession(state)))
  await until(() => heard.length === SESSIONS)
  for (const node of group.nodes) {
    const client = node.client()
    expect(await client.dbsize()).toBeGreaterThan(0)
    // The last word of an address is its port: `laddr` is where the server was reached.
    const lines = (await client.client('LIST')).split('\n')
    const ours = lines.filter((line) => line.includes('name=synckairos-state'))
    expect(ours.length).toBeGreaterThan(0)
    for (const line of ours) expect(line).toContain(`laddr=127.0.0.1:${node.tlsPort}`)
    client.disconnect()
  }
})

test.each([
  ['whose certificate nobody vouches for', () => group.url, /localhost:\d+: .*tls: \{ ca \}/],
  [
    'by a port that speaks TLS, without it',
    () => ({ nodes: nodes() }),
    /localhost:\d+: (connection reset|the connection was lost)/,
  ],
])('an error names the node %s', async (_what, serverOf, message) => {
  const client = managers.keep(createRedisClient(serverOf(), { commandTimeoutMs: 1500 }))
  client.on('error', () => {})
  expect((await refusalOf(() => client.get('a'))).message).toMatch(message)
})
