'use strict'

// Servers and sentinels that go away, under load, while there is always a master.

const { Load } = require('./harness/load.js')
const { OneMaster } = require('./harness/one-master.js')
const { PostgresServer } = require('./harness/postgres.js')
const { SentinelGroup } = require('./harness/sentinel.js')
const { sleep } = require('./harness/until.js')

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

/** Every client of this server has to find its master again. */
async function cutAll(master) {
  await master.client().client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await master.client().client('KILL', 'TYPE', 'pubsub')
}

test('all servers are started again, one after the other', async () => {
  await Load.run(
    'restarts in turn',
    { servers: new OneMaster(group), postgres, lost: 0 },
    async () => {
      for (const server of group.servers) {
        await server.kill()
        await server.up()
        await group.settled()
      }
    },
  )
}, 60_000)

test('a sentinel is killed: nothing happens, and the others still replace the master', async () => {
  await Load.run('a killed sentinel', { servers: new OneMaster(group), postgres }, async () => {
    await group.sentinels[0].kill()
    await cutAll(await group.master())
    await group.failover()
  })
}, 60_000)

test('the majority of the sentinels, and then the last, are killed: the master goes on', async () => {
  await Load.run(
    'no majority of sentinels',
    { servers: new OneMaster(group), postgres, lost: 0 },
    async () => {
      const master = await group.master()
      const [first, ...others] = group.sentinels
      await Promise.all(others.map((sentinel) => sentinel.kill()))
      await cutAll(master)
      await sleep(1000) // The load goes on, with all that it checks.
      await first.kill()
      await cutAll(master)
      await sleep(1000)
      await Promise.all(group.sentinels.map((sentinel) => sentinel.up()))
      await group.settled()
    },
  )
}, 60_000)
