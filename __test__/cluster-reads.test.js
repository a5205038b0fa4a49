'use strict'

const { RedisStateManager } = require('..')
const { ClusterGroup } = require('./harness/cluster.js')
const { ManagedServer } = require('./harness/managed.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

/** So many that each node has some. */
const IDS = Array.from({ length: 100 }, (_, at) => `game-${at}`)

let group
/** Of each node. @type {ManagedServer[]} */
let proxies
/** What the nodes were asked to read. No answer comes before all was asked. @type {string[]} */
const asked = []
const answering = (request) =>
  isRead(request) ? until(() => asked.length >= IDS.length, 10_000) : undefined
const asking = (request) => {
  if (isRead(request)) asked.push(request)
}
const isRead = (request) => /^GET session:/.test(request)

beforeAll(async () => {
  group = await ClusterGroup.start({ replicas: 0 })
  const options = { asking, answering }
  proxies = await Promise.all(group.nodes.map(({ port }) => ManagedServer.start(port, options)))
}, 30_000)
afterAll(async () => {
  await Promise.all(proxies.map((proxy) => proxy.stop()))
  await group.stop()
})

test('many sessions are read at once, each once, and no node waits for another', async () => {
  const nodes = proxies.map(({ port }) => ({ host: '127.0.0.1', port }))
  const entries = group.nodes.map(({ host, port }, at) => [`${host}:${port}`, nodes[at]])
  const manager = new RedisStateManager({ nodes, natMap: Object.fromEntries(entries) })
  await Promise.all(IDS.map((session_id) => manager.createSession(makeState({ session_id }))))

  const states = await manager.getSessions(IDS)
  expect(states.map(({ session_id }) => session_id)).toEqual(IDS)
  expect(asked.length).toBe(IDS.length)
  await manager.close()
})
