'use strict'

// Masters that are replaced on purpose, under load.

const { LoadedGroup } = require('./harness/loaded-group.js')
const { OneMaster } = require('./harness/one-master.js')
const { SentinelGroup } = require('./harness/sentinel.js')

const FAILOVERS = 10

const loaded = LoadedGroup.use(SentinelGroup, OneMaster)

test(`${FAILOVERS} planned failovers in a row`, async () => {
  await loaded.run(`${FAILOVERS} planned failovers`, {}, async () => {
    for (let n = 0; n < FAILOVERS; n++) await loaded.group.failover()
  })
}, 120_000)
