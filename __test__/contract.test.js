'use strict'

// What the contract says of Redis alone: how long sessions live there, and with how many commands.

const { eavesdrop } = require('./harness/channel.js')
const { Managers } = require('./harness/managers.js')
const { RedisServer } = require('./harness/redis.js')
const { refusalOf } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

let server
let redis
let manager
const managers = new Managers()

beforeAll(async () => {
  server = await RedisServer.start()
  redis = server.client()
})

afterAll(async () => {
  await server.stop()
})

beforeEach(() => {
  manager = managers.open(server.url)
})

afterEach(async () => {
  await managers.close()
  await redis.flushall()
})

/** A stored session, as `getSession` gives it. */
async function created() {
  const state = makeState()
  await manager.createSession(state)
  return manager.getSession(state.session_id)
}

/** The address of the connection that a manager has made last. */
async function latestConnection() {
  const connections = (await redis.client('LIST')).split('\n')
  const ours = connections.filter((one) => /name=synckairos-state.* resp=3/.test(one))
  return /(?:^| )addr=(\S+)/.exec(ours.at(-1))[1]
}

describe('the TTL of an hour', () => {
  const ttlOf = (state) => redis.ttl(`session:${state.session_id}`)

  it.each([[{}], [{ ifAbsent: true }]])('is set by createSession: %j', async (options) => {
    const state = makeState()
    await manager.createSession(state, options)
    expect(await ttlOf(state)).toBeGreaterThanOrEqual(3599)
    expect(await ttlOf(state)).toBeLessThanOrEqual(3600)
  })

  it.each([
    ['updateSession with an expected version', (state, id) => manager.updateSession(id, state, 1)],
    ['updateSession without one', (state, id) => manager.updateSession(id, state)],
    ['touchSession', (_state, id) => manager.touchSession(id)],
  ])('is renewed by %s', async (_what, call) => {
    const state = await created()
    await redis.expire(`session:${state.session_id}`, 100)
    await call(state, state.session_id)
    expect(await ttlOf(state)).toBeGreaterThanOrEqual(3599)
  })

  it('is not renewed by a write that is refused', async () => {
    const state = await created()
    await redis.expire(`session:${state.session_id}`, 100)
    await refusalOf(() => manager.updateSession(state.session_id, state, 2))
    expect(await ttlOf(state)).toBeLessThanOrEqual(100)
  })
})

describe('updateSession', () => {
  it('is one round trip', async () => {
    const state = await created()
    const own = managers.open(server.url)
    await own.updateSession(state.session_id, state) // Redis knows the script from here on.
    const { heard, marks, end } = await eavesdrop(server, await latestConnection())
    await own.updateSession(state.session_id, state, 2)
    await own.updateSession(state.session_id, state)
    await redis.echo('updated')
    await until(() => marks.has('updated'))
    end()
    expect(heard.map(([command]) => command.toUpperCase())).toEqual(['EVALSHA', 'EVALSHA'])
  })
})

describe('getSessions', () => {
  it('is one command where there are all', async () => {
    const own = managers.open(server.url)
    const ids = [await created(), await created(), await created()].map((one) => one.session_id)
    await own.getSession(ids[0])
    const { heard, marks, end } = await eavesdrop(server, await latestConnection())
    await own.getSessions(ids)
    await redis.echo('read')
    await until(() => marks.has('read'))
    end()
    expect(heard).toHaveLength(1)
  })
})
