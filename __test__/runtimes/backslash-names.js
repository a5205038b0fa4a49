'use strict'

const { Managers } = require('../harness/managers.js')
const { RedisServer } = require('../harness/redis.js')
const { makeState } = require('../harness/sessions.js')

let server
const managers = new Managers()

beforeAll(async () => {
  server = await RedisServer.start()
})

afterEach(() => managers.close())

afterAll(() => server.stop())

test('a field whose name ends in a backslash is not taken for another', async () => {
  const manager = managers.open(server.url)
  for (const name of ['a\\', 'a"']) {
    const state = makeState({ [name]: 1 })
    await manager.createSession(state)
    expect(Object.keys(await manager.getSession(state.session_id))).toContain(name)
  }
})
