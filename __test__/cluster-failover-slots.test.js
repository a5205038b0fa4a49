'use strict'

// Slots that go from node to node of a cluster, and nodes that come and go, under load: nothing
// acknowledged is lost.

const { ClusterGroup } = require('./harness/cluster.js')
const { ClusterMasters } = require('./harness/cluster-masters.js')
const { LoadedGroup } = require('./harness/loaded-group.js')

const loaded = LoadedGroup.use(ClusterGroup, ClusterMasters)

const run = (name, fault) => loaded.run(name, { lost: 0 }, fault)

test('slots are moved to another master and back', async () => {
  await run('slots that move', async (hasGoneOn, servers) => {
    const [first, second] = loaded.group.nodes
    const slots = await servers.slotsWithSessions(first)
    expect(slots.length).toBeGreaterThan(0)
    for (const to of [second, first, second, first]) {
      await loaded.group.moveSlots(slots, to)
      await hasGoneOn()
    }
    await loaded.group.settled()
  })
}, 60_000)

test('a node is added, is given slots, is emptied and is removed', async () => {
  await run('a node that comes and goes', async (hasGoneOn, servers) => {
    const slots = await servers.slotsWithSessions(loaded.group.nodes[0])
    const node = await loaded.group.addNode()
    await loaded.group.moveSlots(slots, node)
    await loaded.group.settled()
    await hasGoneOn()
    expect(await servers.slotsWithSessions(node)).toEqual(slots)
    await loaded.group.removeNode(node)
  })
}, 60_000)

test('each master in turn is killed and started again at once', async () => {
  await run('masters that are restarted in turn', async (hasGoneOn) => {
    for (const master of loaded.group.nodes.slice(0, 3)) {
      await master.kill()
      await master.up()
      await loaded.group.settled()
      await hasGoneOn()
    }
  })
}, 60_000)
