'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { RedisStateManager, createRedisClient } = require('..')
const { Managers } = require('./harness/managers.js')
const { TcpProxy } = require('./harness/proxy.js')
const { RedisServer, freePort } = require('./harness/redis.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const certificate = path.join(__dirname, 'harness', 'tls', 'cert.pem')
const key = path.join(__dirname, 'harness', 'tls', 'key.pem')
const ca = fs.readFileSync(certificate, 'utf8')

/** 100 Mbit/s, in bytes. */
const FAST_ETHERNET = 12.5e6

const managers = new Managers()
let server
let redis
let tlsPort
let proxy

beforeAll(async () => {
  tlsPort = await freePort()
  const files = ['--tls-cert-file', certificate, '--tls-key-file', key]
  server = await RedisServer.start(['--tls-port', tlsPort, '--tls-auth-clients', 'no', ...files])
  redis = server.client()
})

afterAll(() => server.stop())

beforeEach(async () => {
  proxy = await TcpProxy.start(tlsPort)
})

afterEach(async () => {
  await managers.close()
  await proxy.stop()
})

/** A manager that speaks TLS through the proxy, and how often its client has reconnected. */
async function connected(options) {
  const client = createRedisClient({ host: 'localhost', port: proxy.port, tls: { ca } })
  const watched = { reconnections: 0 }
  client.on('reconnecting', () => watched.reconnections++)
  const manager = managers.keep(new RedisStateManager(client, undefined, undefined, options))
  await manager.createSession(makeState())
  return { manager, watched }
}

test('what is sent behind long documents on a narrow line goes out as soon as it can', async () => {
  const { manager, watched } = await connected()
  proxy.requests.bytesPerSecond = FAST_ETHERNET
  for (let round = 0; round < 3; round++) {
    const long = Array.from({ length: 14 }, () => makeState({ filler: 'x'.repeat(900_000) }))
    const written = Promise.all(long.map((state) => manager.createSession(state)))
    const read = manager.getSession('none').then(() => performance.now())
    await written
    const after = (await read) - performance.now()
    expect(after).toBeLessThan(300)
  }
  expect(watched.reconnections).toBe(0)
})

test('many long documents are read over a narrow line, on the connection that was there', async () => {
  const { manager, watched } = await connected()
  const states = Array.from({ length: 128 }, () => makeState({ filler: 'x'.repeat(250_000) }))
  await Promise.all(states.map((state) => manager.createSession(state)))
  proxy.answers.bytesPerSecond = FAST_ETHERNET
  const found = await Promise.all(states.map(({ session_id: id }) => manager.getSession(id)))
  expect(found.map(({ session_id: id }) => id)).toEqual(states.map(({ session_id: id }) => id))
  expect(watched.reconnections).toBe(0)
})

test('documents of all lengths come back as they were', async () => {
  const { manager } = await connected()
  const states = Array.from({ length: 200 }, (_, n) =>
    makeState({ filler: `ä${'x'.repeat(n * n)}` }),
  )
  await Promise.all(states.map((state) => manager.createSession(state)))
  const found = await Promise.all(states.map(({ session_id: id }) => manager.getSession(id)))
  expect(found.map(({ filler }) => filler)).toEqual(states.map(({ filler }) => filler))
})

test('resets in the middle of many calls are noticed by none of them', async () => {
  const { manager, watched } = await connected()
  const states = Array.from({ length: 20 }, () => makeState())
  await Promise.all(states.map((state) => manager.createSession(state)))
  for (let version = 1; version <= 5; version++) {
    const calls = states.flatMap((state) => [
      manager.updateSession(state.session_id, state, version),
      manager.getSession(state.session_id),
    ])
    setImmediate(() => proxy.reset())
    await Promise.all(calls)
  }
  for (const { session_id: id } of states) {
    expect(JSON.parse(await redis.get(`session:${id}`)).version).toBe(6)
  }
  expect(watched.reconnections).toBeGreaterThan(0)
})

test('a server that falls silent is replaced, and its calls succeed on the next connection', async () => {
  const { manager, watched } = await connected()
  proxy.strand()
  const state = makeState()
  await manager.createSession(state)
  expect(await manager.getSession(state.session_id)).toMatchObject({ version: 1 })
  expect(watched.reconnections).toBe(1)
})

test('updates are heard in their order', async () => {
  const { manager } = await connected()
  const heard = []
  manager.subscribeToUpdates((_id, state) => heard.push(state.version))
  await manager.subscribed()
  const state = makeState()
  await manager.createSession(state)
  for (let version = 1; version < 50; version++) {
    await manager.updateSession(state.session_id, state, version)
  }
  await until(() => heard.length === 50)
  expect(heard).toEqual(Array.from({ length: 50 }, (_, n) => n + 1))
})
