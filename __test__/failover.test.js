'use strict'

// A master that is replaced by Sentinel, under load.

const { Load } = require('./harness/load.js')
const { OneMaster } = require('./harness/one-master.js')
const { PostgresServer } = require('./harness/postgres.js')
const { SentinelGroup } = require('./harness/sentinel.js')
const { until } = require('./harness/until.js')

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
const replaced = (master) => until(async () => (await group.master()) !== master, 20_000)

describe('the master is killed', () => {
  test.each([
    ['and replicas had what was acknowledged', { lost: 0, options: { replicas: { count: 1 } } }],
    ['and nobody knows what they had', {}],
  ])(
    '%s',
    async (what, setting) => {
      await Load.run(
        `a killed master, ${what}`,
        { servers: new OneMaster(group), postgres, ...setting },
        async () => {
          const master = await group.master()
          await master.kill()
          await replaced(master)
          await group.settled()
          await master.up()
          await group.settled()
        },
      )
    },
    60_000,
  )
})

describe('the master stands still, is replaced, and goes on as if it were the master', () => {
  test.each([
    // A replica that still follows it would acknowledge what it is about to lose.
    ['when all others have settled', { lost: 0, options: { replicas: { count: 1 } } }, true],
    ['as soon as another is named', {}, false],
  ])(
    '%s',
    async (when, setting, hasToSettle) => {
      const name = `a master that stood still and goes on ${when}`
      await Load.run(name, { servers: new OneMaster(group), postgres, ...setting }, async () => {
        const master = await group.master()
        master.pause()
        await replaced(master)
        if (hasToSettle) await group.settled()
        master.resume()
        await group.settled()
      })
    },
    60_000,
  )
})
