'use strict'

// A master that is replaced by Sentinel, under load.

const { Load } = require('./harness/load.js')
const { PostgresServer } = require('./harness/postgres.js')
const { SentinelGroup } = require('./harness/sentinel.js')
const { until } = require('./harness/until.js')

const FAILOVERS = 10

let postgres
let group

beforeAll(async () => {
  postgres = await PostgresServer.start()
})
afterAll(() => postgres.stop())
beforeEach(async () => {
  group = await SentinelGroup.start()
})
afterEach(() => group.stop())

/** Resolves when the sentinels name another master than this one. */
const replaced = (master) => until(async () => (await group.master()) !== master)

test('the master is killed', async () => {
  await Load.run('a killed master', { servers: group, postgres }, async () => {
    const master = await group.master()
    await master.kill()
    await replaced(master)
    await group.settled()
    await master.up()
    await group.settled()
  })
}, 60_000)

test('the master stands still, is replaced, and goes on as if it were the master', async () => {
  await Load.run('a master that stood still', { servers: group, postgres }, async () => {
    const master = await group.master()
    master.pause()
    await replaced(master)
    master.resume()
    await group.settled()
  })
}, 60_000)

test(`${FAILOVERS} planned failovers in a row`, async () => {
  await Load.run(`${FAILOVERS} planned failovers`, { servers: group, postgres }, async () => {
    for (let n = 0; n < FAILOVERS; n++) await group.failover()
  })
}, 120_000)
