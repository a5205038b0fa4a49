'use strict'

const { setImmediate: turned } = require('node:timers/promises')
const { RedisUnavailableError } = require('..')
const { RedisServer } = require('./harness/redis.js')
const { Managers } = require('./harness/managers.js')
const { refusalOf } = require('./harness/refusal.js')
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

test('timers and sockets get their turn while thousands of calls are in flight', async () => {
  const manager = managers.open(server.url)
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
  while (ended < 20_000) {
    const before = ended
    await turned()
    perTurn.push(ended - before)
  }
  isOver = true
  await Promise.all(callers)
  expect(Math.max(...perTurn)).toBeLessThan(MOST)
})

test('calls end while a test of the caller has stopped the time', async () => {
  const manager = managers.open(server.url)
  const state = makeState()
  await manager.createSession(state)
  jest.useFakeTimers()
  try {
    for (let count = 0; count < 40; count++) await manager.getSession(state.session_id)
    await manager.updateSession(state.session_id, state, 1)
    manager.subscribeToUpdates(() => {})
    await manager.subscribed()
    const alone = managers.open('redis://127.0.0.1:1', { commandTimeoutMs: 300 })
    alone.subscribeToUpdates(() => {})
    expect(await refusalOf(() => alone.subscribed())).toBeInstanceOf(RedisUnavailableError)
  } finally {
    jest.useRealTimers()
  }
  expect(await manager.getSession(state.session_id)).toMatchObject({ version: 2 })
})

test('a thread that was busy for long finds its answers, and does not ask again', async () => {
  const redis = server.client()
  const manager = managers.open(server.url)
  const state = makeState()
  await manager.createSession(state)
  const connections = async () =>
    /total_connections_received:(\d+)/.exec(await redis.info('stats'))[1]
  const before = await connections()
  const read = manager.getSession(state.session_id)
  const update = manager.updateSession(state.session_id, state, 1)
  await null // Sent.
  const end = Date.now() + 2500
  while (Date.now() < end);
  expect(await read).toMatchObject({ version: 1 })
  await update
  expect(await connections()).toBe(before)
})
