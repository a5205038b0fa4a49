'use strict'

// Masters that are replaced on purpose, under load.

const { Load } = require('./harness/load.js')
const { OneMaster } = require('./harness/one-master.js')
const { PostgresServer } = require('./harness/postgres.js')
const { SentinelGroup } = require('./harness/sentinel.js')

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

test(`${FAILOVERS} planned failovers in a row`, async () => {
  await Load.run(
    `${FAILOVERS} planned failovers`,
    { servers: new OneMaster(group), postgres },
    async () => {
      for (let n = 0; n < FAILOVERS; n++) await group.failover()
    },
  )
}, 120_000)
