'use strict'

// What docs/guarantees.md says of one Redis that crashes.

const { Managers } = require('./harness/managers.js')
const { RedisServer } = require('./harness/redis.js')
const { makeState } = require('./harness/sessions.js')

const managers = new Managers()
let server

afterEach(async () => {
  await managers.close()
  await server.stop()
})

/** How many of 300 acknowledged writes are there after Redis was killed. */
async function surviving(args) {
  server = await RedisServer.start(args)
  const manager = managers.open(server.url)
  const states = Array.from({ length: 300 }, () => makeState())
  await Promise.all(states.map((state) => manager.createSession(state)))
  await server.kill()
  await server.up()
  const found = await manager.getSessions(states.map((state) => state.session_id))
  return found.filter((state) => state !== null).length
}

test.each(['always', 'everysec', 'no'])(
  'with an append-only file and appendfsync %s, acknowledged writes survive a crash of Redis',
  async (fsync) => {
    expect(await surviving(['--appendonly', 'yes', '--appendfsync', fsync])).toBe(300)
  },
)

test('without a file they do not', async () => {
  expect(await surviving([])).toBe(0)
})
