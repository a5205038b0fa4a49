'use strict'

// A cluster's masters that are replaced, under load.

const { ClusterGroup } = require('./harness/cluster.js')
const { ClusterMasters } = require('./harness/cluster-masters.js')
const { LoadedGroup } = require('./harness/loaded-group.js')
const { sleep, until } = require('./harness/until.js')

const FAILOVERS = 10
/** One of each master's. */
const SLOTS = [0, 8000, 16383]
/** How long a master goes on alone before it is killed. */
const ALONE_MS = 500

/** What the load is to be: writes wait for a replica, so none that is acknowledged is lost. */
const REPLICATED = { lost: 0, options: { replicas: { count: 1 } } }

const loaded = LoadedGroup.use(ClusterGroup, ClusterMasters)

/** Resolves when another node has a slot of this master. */
const replaced = (master, slot) =>
  until(async () => (await loaded.group.masterOf(slot).catch(() => master)) !== master, 20_000)

/** The replica of this master hears nothing from it any more, as it gives a wrong password. */
async function part(master) {
  const [replica] = await loaded.group.replicasOf(master)
  const client = replica.client()
  await client.config('SET', 'masterauth', 'wrong')
  await client.client('KILL', 'TYPE', 'master')
  client.disconnect()
}

describe('a master is killed whose replica was behind', () => {
  test.each([
    ['and what the replica did not have was not acknowledged', REPLICATED],
    ['and what it did not have is lost', {}],
  ])(
    '%s',
    async (what, setting) => {
      await loaded.run(`a killed master of a cluster, ${what}`, setting, async () => {
        const master = await loaded.group.masterOf(0)
        await part(master)
        await sleep(ALONE_MS)
        await master.kill()
        await replaced(master, 0)
        await master.up()
        await loaded.group.settled()
      })
    },
    60_000,
  )
})

describe('a master stands still, is replaced, and goes on as if it were the master', () => {
  test.each([
    ['and its replica had what was acknowledged', REPLICATED],
    ['and nobody knows what its replica had', {}],
  ])(
    '%s',
    async (what, setting) => {
      await loaded.run(`a master of a cluster that stood still, ${what}`, setting, async () => {
        const master = await loaded.group.masterOf(0)
        master.pause()
        await replaced(master, 0)
        master.resume()
        await loaded.group.settled()
      })
    },
    60_000,
  )
})

test(`${FAILOVERS} planned failovers in a row`, async () => {
  await loaded.run(`${FAILOVERS} planned failovers in a cluster`, {}, async (hasGoneOn) => {
    for (let n = 0; n < FAILOVERS; n++) {
      await loaded.group.failover(await loaded.group.masterOf(SLOTS[n % SLOTS.length]))
      await hasGoneOn()
    }
  })
}, 60_000)
