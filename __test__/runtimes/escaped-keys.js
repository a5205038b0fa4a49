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

test('states whose fields differ in an escaped character only keep their own', async () => {
  const manager = managers.open(server.url)
  for (const name of ['"', '\\', '\n']) {
    const state = makeState({ [name]: 1 })
    await manager.createSession(state)
    expect(Object.keys(await manager.getSession(state.session_id))).toContain(name)
  }
})
