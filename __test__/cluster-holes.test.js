'use strict'

const { createRedisClient } = require('..')
const { ClusterGroup } = require('./harness/cluster.js')
const { Managers } = require('./harness/managers.js')
const { refusalOf } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

/** The last of the last master's slots. */
const HOLE = Array.from({ length: 384 }, (_, at) => 16_000 + at)
/** A key of slot 16 086, and one that is not in the hole. */
const [LOST, KEPT] = ['key 41', 'key 1']

let group
let nodes
let isDug = false
const managers = new Managers()

beforeAll(async () => {
  group = await ClusterGroup.start({ replicas: 0 })
  nodes = group.nodes.map((node) => node.client())
}, 30_000)
afterAll(() => group?.stop())
afterEach(async () => {
  await managers.close()
  await fill()
})

const all = (...words) => Promise.all(nodes.map((node) => node.call(...words)))

/** Takes the slots from the last master. */
async function dig({ fullCoverage }) {
  await all('CONFIG', 'SET', 'cluster-require-full-coverage', fullCoverage ? 'yes' : 'no')
  await all('CLUSTER', 'DELSLOTS', ...HOLE)
  isDug = true
  const state = `cluster_state:${fullCoverage ? 'fail' : 'ok'}`
  await until(async () => (await all('CLUSTER', 'INFO')).every((info) => info.includes(state)))
}

async function fill() {
  if (!isDug) return
  isDug = false
  await nodes.at(-1).call('CLUSTER', 'ADDSLOTS', ...HOLE)
  await group.settled()
}

function connect(commandTimeoutMs) {
  const client = managers.keep(createRedisClient(group.url, { commandTimeoutMs }))
  client.on('error', () => {})
  return client
}

test('a cluster that is down for lack of slots says so, and is used when it has them again', async () => {
  const client = connect(1000)
  await client.set(KEPT, '1')
  const manager = managers.open(client, { commandTimeoutMs: 1000 })
  expect(await manager.getSession('a')).toBeNull()
  await dig({ fullCoverage: true })
  const error = await refusalOf(() => manager.getSession('a'))
  expect(error.name).toBe('RedisUnavailableError')
  expect(error.message).toMatch(/127\.0\.0\.1:\d+: refused: CLUSTERDOWN/)
  expect((await refusalOf(() => client.get(KEPT))).message).toMatch(/refused: CLUSTERDOWN/)
  await fill()
  await until(async () => (await manager.getSession('a').catch(() => 'down')) === null)
})

test('a client that has come meanwhile says why it cannot know the partitions', async () => {
  await dig({ fullCoverage: true })
  const manager = managers.open(connect(3000), { commandTimeoutMs: 3000 })
  const error = await refusalOf(() => manager.getSession('a'))
  expect(error.message).toMatch(/127\.0\.0\.1:\d+: refused: CLUSTERDOWN/)
  await fill()
  await until(async () => (await manager.getSession('a').catch(() => 'down')) === null)
})

test('without full coverage what has slots is served, and the error of the rest names the slot', async () => {
  await dig({ fullCoverage: false })
  const client = connect(1000)
  await client.set(KEPT, '1')
  expect((await refusalOf(() => client.get(LOST))).message).toMatch(/no master has the slot 16086/)

  const manager = managers.open(client, { commandTimeoutMs: 1000 })
  manager.subscribeToUpdates(() => {})
  const states = Array.from({ length: 300 }, () => makeState())
  const outcomes = await Promise.all(
    states.map((state) => manager.createSession(state).catch(({ message }) => message)),
  )
  const refusals = outcomes.filter((outcome) => outcome !== undefined)
  expect(refusals.length).toBeGreaterThan(0)
  expect(refusals.length).toBeLessThan(30)
  for (const message of refusals) expect(message).toMatch(/no master has the slot 16\d\d\d$/)

  const unheard = managers.open(client, { commandTimeoutMs: 1000 })
  unheard.subscribeToUpdates(() => {})
  const late = await refusalOf(() => unheard.subscribed())
  expect(late.message).toContain('no master has some of the slots')
  await fill()
  await until(
    () =>
      unheard.subscribed().then(
        () => true,
        () => false,
      ),
    30_000,
  )
  for (const state of states.slice(0, 50)) await manager.getSession(state.session_id)
}, 60_000)
