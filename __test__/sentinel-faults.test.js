'use strict'

// Servers and sentinels that go away, under load, while there is always a master.

const { LoadedGroup } = require('./harness/loaded-group.js')
const { OneMaster } = require('./harness/one-master.js')
const { SentinelGroup } = require('./harness/sentinel.js')
const { sleep } = require('./harness/until.js')

const loaded = LoadedGroup.use(SentinelGroup, OneMaster)

/** Every client of this server has to find its master again. */
async function cutAll(master) {
  await master.client().client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await master.client().client('KILL', 'TYPE', 'pubsub')
}

test('all servers are started again, one after the other', async () => {
  await loaded.run('restarts in turn', { lost: 0 }, async () => {
    for (const server of loaded.group.servers) {
      await server.kill()
      await server.up()
      await loaded.group.settled()
    }
  })
}, 60_000)

test('a sentinel is killed: nothing happens, and the others still replace the master', async () => {
  await loaded.run('a killed sentinel', {}, async () => {
    await loaded.group.sentinels[0].kill()
    await cutAll(await loaded.group.master())
    await loaded.group.failover()
  })
}, 60_000)

test('the majority of the sentinels, and then the last, are killed: the master goes on', async () => {
  await loaded.run('no majority of sentinels', { lost: 0 }, async () => {
    const master = await loaded.group.master()
    const [first, ...others] = loaded.group.sentinels
    await Promise.all(others.map((sentinel) => sentinel.kill()))
    await cutAll(master)
    await sleep(1000) // The load goes on, with all that it checks.
    await first.kill()
    await cutAll(master)
    await sleep(1000)
    await Promise.all(loaded.group.sentinels.map((sentinel) => sentinel.up()))
    await loaded.group.settled()
  })
}, 60_000)
