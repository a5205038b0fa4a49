'use strict'

// A master that is replaced by Sentinel, under load.

const { LoadedGroup } = require('./harness/loaded-group.js')
const { OneMaster } = require('./harness/one-master.js')
const { SentinelGroup } = require('./harness/sentinel.js')
const { until } = require('./harness/until.js')

const loaded = LoadedGroup.use(SentinelGroup, OneMaster)

/** Resolves when the sentinels name another master than this one. */
const replaced = (master) => until(async () => (await loaded.group.master()) !== master, 20_000)

describe('the master is killed', () => {
  test.each([
    ['and replicas had what was acknowledged', { lost: 0, options: { replicas: { count: 1 } } }],
    ['and nobody knows what they had', {}],
  ])(
    '%s',
    async (what, setting) => {
      await loaded.run(`a killed master, ${what}`, setting, async () => {
        const master = await loaded.group.master()
        await master.kill()
        await replaced(master)
        await loaded.group.settled()
        await master.up()
        await loaded.group.settled()
      })
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
      await loaded.run(name, setting, async () => {
        const master = await loaded.group.master()
        master.pause()
        await replaced(master)
        if (hasToSettle) await loaded.group.settled()
        master.resume()
        await loaded.group.settled()
      })
    },
    60_000,
  )
})
