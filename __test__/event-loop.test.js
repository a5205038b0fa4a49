'use strict'

const { setImmediate: turned } = require('node:timers/promises')
const { RedisServer } = require('./harness/redis.js')
const { Managers } = require('./harness/managers.js')
const { makeState } = require('./harness/sessions.js')

/** The most calls that may end before the event loop gets to something else. */
const MOST = 4000

const managers = new Managers()
let server

beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server.stop())
afterEach(() => managers.close())

test.each([
  ['by the core alone', { commandTimeoutMs: 2000 }],
  ['by the fast path', {}],
])(
  'timers and sockets get their turn while thousands of calls are in flight %s',
  async (_, options) => {
    const manager = managers.open(server.url, options)
    const state = makeState()
    await manager.createSession(state)
    let ended = 0
    let isOver = false
    const callers = Array.from({ length: 2048 }, async () => {
      // The second is for a failure to end.
      while (!isOver && ended < 200_000) {
        await manager.getSession(state.session_id)
        ended++
      }
    })
    const perTurn = []
    while (perTurn.length < 50) {
      const before = ended
      await turned()
      perTurn.push(ended - before)
    }
    isOver = true
    await Promise.all(callers)
    expect(ended).toBeGreaterThan(2048)
    expect(Math.max(...perTurn)).toBeLessThan(MOST)
  },
)
