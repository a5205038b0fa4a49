'use strict'

const { InvalidStateError } = require('..')
const { listen } = require('./harness/channel.js')
const { Managers } = require('./harness/managers.js')
const { OldInstance } = require('./harness/old-instance.js')
const { TcpProxy } = require('./harness/proxy.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { RedisServer } = require('./harness/redis.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

let server
let redis
const managers = new Managers()

beforeAll(async () => {
  server = await RedisServer.start()
  redis = server.client()
})
afterAll(() => server.stop())
afterEach(async () => {
  await managers.close()
  await redis.flushall()
})

/** A manager of this prefix, and all that its callback gets. */
async function subscriber(keyPrefix, options) {
  const manager = managers.open(server.url, { keyPrefix, ...options })
  const heard = []
  manager.subscribeToUpdates((...told) => heard.push(told))
  await manager.subscribed()
  return { manager, heard }
}

const versions = (heard) => heard.map(([id, state]) => [id, state?.version ?? null])

/** What is told after everything else. */
async function end({ manager, heard }) {
  await manager.deleteSession('end')
  await until(() => heard.some(([id]) => id === 'end'))
  return heard.filter(([id]) => id !== 'end')
}

describe('managers of different key prefixes on one channel', () => {
  test.each([
    ['a:', 'b:'],
    ['a:', 'session:'],
    ['session:', 'a:'],
  ])('%s does not hear of a session of %s with the same id', async (mine, theirs) => {
    const [own, other] = [await subscriber(mine), await subscriber(theirs)]
    const state = makeState({ session_id: 'same' })
    await other.manager.createSession(state)
    await other.manager.updateSession('same', state)
    await own.manager.createSession(state)
    await other.manager.deleteSession('same')
    expect(versions(await end(own))).toEqual([['same', 1]])
    expect(versions(await end(other))).toEqual([
      ['same', 1],
      ['same', 2],
      ['same', null],
    ])
    expect(await own.manager.getSession('same')).toMatchObject({ version: 1 })
  })

  test('a callback gets a session id and a state, and nothing else', async () => {
    const own = await subscriber('session:')
    await own.manager.createSession(makeState())
    const [told] = await end(own)
    expect(told).toHaveLength(2)
  })

  test('one that asks for all prefixes hears of all, and of each which prefix it has', async () => {
    const own = await subscriber('a:', { allPrefixes: true })
    const others = ['b:', 'session:', 'ü"\\:'].map((keyPrefix) =>
      managers.open(server.url, { keyPrefix }),
    )
    const state = makeState({ session_id: 'same' })
    for (const manager of [...others, own.manager]) await manager.createSession(state)
    await new OldInstance(redis).createSession(state)
    await others[0].deleteSession('same')
    const told = (await end(own)).map(([id, state, prefix]) => [id, state?.version ?? null, prefix])
    expect(told).toEqual([
      ['same', 1, 'b:'],
      ['same', 1, 'session:'],
      ['same', 1, 'ü"\\:'],
      ['same', 1, 'a:'],
      ['same', 1, null],
      ['same', null, 'b:'],
    ])
  })

  test('allPrefixes is a boolean', () => {
    expect(() => managers.open(server.url, { allPrefixes: 'yes' })).toThrow(InvalidStateError)
  })

  test.each(['session:', 'a:'])('%s hears of an instance that names no prefix', async (prefix) => {
    const own = await subscriber(prefix)
    const old = new OldInstance(redis)
    await old.createSession(makeState({ session_id: 's' }))
    await old.deleteSession('s')
    expect(versions(await end(own))).toEqual([
      ['s', 1],
      ['s', null],
    ])
  })

  test.each(['session:', 'a:'])('messages of %s name it', async (keyPrefix) => {
    const messages = await listen(server.client(), 'session-updates')
    const manager = managers.open(server.url, { keyPrefix })
    const state = makeState()
    await manager.createSession(state)
    await manager.updateSession(state.session_id, state)
    await manager.updateSession(state.session_id, state, 2)
    await manager.deleteSession(state.session_id)
    await until(() => messages.length === 4)
    expect(messages.map((text) => JSON.parse(text).keyPrefix)).toEqual(Array(4).fill(keyPrefix))
  })

  test('after a gap nobody hears of sessions of another prefix', async () => {
    const proxy = await TcpProxy.start(server.port)
    const logger = recordingLogger()
    const manager = managers.open(proxy.url, { keyPrefix: 'a:', allPrefixes: true, logger })
    const heard = []
    manager.subscribeToUpdates((id, state, prefix) => heard.push([id, state?.version, prefix]))
    await manager.subscribed()
    const other = managers.open(server.url, { keyPrefix: 'b:' })
    await other.createSession(makeState({ session_id: 's' }))
    await until(() => heard.length === 1)
    proxy.reset()
    await until(() => logger.told.warn.some(({ gap }) => gap?.known === 0))
    await manager.subscribed()
    expect(heard).toEqual([['s', 1, 'b:']])
    await managers.close()
    await proxy.stop()
  })
})
