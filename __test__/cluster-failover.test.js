'use strict'

// A cluster's masters that are replaced, under load.

const { ClusterGroup } = require('./harness/cluster.js')
const { ClusterMasters } = require('./harness/cluster-masters.js')
const { Load } = require('./harness/load.js')
const { PostgresServer } = require('./harness/postgres.js')
const { until } = require('./harness/until.js')

const FAILOVERS = 10
/** One of each master's. */
const SLOTS = [0, 8000, 16383]

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

const run = (name, setting, fault) =>
  Load.run(name, { servers: new ClusterMasters(group), postgres, ...setting }, fault)

/** Resolves when another node has a slot of this master. */
const replaced = (master, slot) =>
  until(async () => (await group.masterOf(slot).catch(() => master)) !== master, 20_000)

describe('a master is killed', () => {
  test.each([
    ['and its replica had what was acknowledged', { lost: 0, options: { replicas: { count: 1 } } }],
    ['and nobody knows what its replica had', {}],
  ])(
    '%s',
    async (what, setting) => {
      await run(`a killed master of a cluster, ${what}`, setting, async () => {
        const master = await group.masterOf(0)
        await master.kill()
        await replaced(master, 0)
        await master.up()
        await group.settled()
      })
    },
    60_000,
  )
})

describe('a master stands still, is replaced, and goes on as if it were the master', () => {
  test.each([
    ['and its replica had what was acknowledged', { lost: 0, options: { replicas: { count: 1 } } }],
    ['and nobody knows what its replica had', {}],
  ])(
    '%s',
    async (what, setting) => {
      await run(`a master of a cluster that stood still, ${what}`, setting, async () => {
        const master = await group.masterOf(0)
        master.pause()
        await replaced(master, 0)
        master.resume()
        await group.settled()
      })
    },
    60_000,
  )
})

test(`${FAILOVERS} planned failovers in a row`, async () => {
  await run(`${FAILOVERS} planned failovers in a cluster`, {}, async (hasGoneOn) => {
    for (let n = 0; n < FAILOVERS; n++) {
      await group.failover(await group.masterOf(SLOTS[n % SLOTS.length]))
      await hasGoneOn()
    }
  })
}, 60_000)
