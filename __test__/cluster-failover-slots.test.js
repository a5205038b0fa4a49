'use strict'

// Slots that go from node to node of a cluster, and nodes that come and go, under load: nothing
// acknowledged is lost.

const { ClusterGroup } = require('./harness/cluster.js')
const { ClusterMasters } = require('./harness/cluster-masters.js')
const { Load } = require('./harness/load.js')
const { PostgresServer } = require('./harness/postgres.js')

/** Of the first master's. */
const MOVED = Array.from({ length: 2000 }, (_, slot) => slot)

let postgres
let group

beforeAll(async () => {
  postgres = await PostgresServer.start()
})
afterAll(() => postgres.stop())
beforeEach(async () => {
  group = await ClusterGroup.start()
}, 30_000)
afterEach(() => group.stop())

const run = (name, fault) =>
  Load.run(name, { servers: new ClusterMasters(group), postgres, lost: 0 }, fault)

test('slots are moved to another master and back', async () => {
  await run('slots that move', async () => {
    const [first, second] = group.nodes
    for (const to of [second, first, second, first]) {
      await group.moveSlots(MOVED, to)
      await group.settled()
    }
  })
}, 60_000)

test('a node is added, is given slots, is emptied and is removed', async () => {
  await run('a node that comes and goes', async () => {
    const node = await group.addNode()
    await group.moveSlots(MOVED, node)
    await group.settled()
    await group.removeNode(node)
  })
}, 60_000)

test('each master in turn is killed and started again at once', async () => {
  await run('masters that are restarted in turn', async (hasGoneOn) => {
    for (const master of group.nodes.slice(0, 3)) {
      await master.kill()
      await master.up()
      await group.settled()
      await hasGoneOn()
    }
  })
}, 60_000)
