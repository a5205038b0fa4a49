'use strict'

// Slots that go from node to node of a cluster, and nodes that come and go, under load: nothing
// acknowledged is lost.

const { ClusterGroup } = require('./harness/cluster.js')
const { ClusterMasters } = require('./harness/cluster-masters.js')
const { Load } = require('./harness/load.js')
const { PostgresServer } = require('./harness/postgres.js')

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

/** `fault` is passed the servers as well. */
function run(name, fault) {
  const servers = new ClusterMasters(group)
  return Load.run(name, { servers, postgres, lost: 0 }, (hasGoneOn) => fault(hasGoneOn, servers))
}

test('slots are moved to another master and back', async () => {
  await run('slots that move', async (hasGoneOn, servers) => {
    const [first, second] = group.nodes
    const slots = await servers.slotsWithSessions(first)
    expect(slots.length).toBeGreaterThan(0)
    for (const to of [second, first, second, first]) {
      await group.moveSlots(slots, to)
      await hasGoneOn()
    }
    await group.settled()
  })
}, 60_000)

test('a node is added, is given slots, is emptied and is removed', async () => {
  await run('a node that comes and goes', async (hasGoneOn, servers) => {
    const slots = await servers.slotsWithSessions(group.nodes[0])
    const node = await group.addNode()
    await group.moveSlots(slots, node)
    await group.settled()
    await hasGoneOn()
    expect(await servers.slotsWithSessions(node)).toEqual(slots)
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
