'use strict'

// One server that dies and comes back, under the load that the tests of failovers use.

const { Load } = require('./harness/load.js')
const { OneMaster } = require('./harness/one-master.js')
const { PostgresServer } = require('./harness/postgres.js')
const { RedisServer } = require('./harness/redis.js')

let server
let postgres

beforeAll(async () => {
  server = await RedisServer.start(['--appendonly', 'yes', '--appendfsync', 'always'])
  postgres = await PostgresServer.start()
})
afterAll(async () => {
  await server.stop()
  await postgres.stop()
})

test('a server is killed and started again: nothing acknowledged is lost', async () => {
  const servers = new OneMaster({ url: server.url, servers: [server], master: async () => server })
  await Load.run('a restart', { servers, postgres, lost: 0 }, async () => {
    await server.kill()
    await server.up()
  })
}, 60_000)
