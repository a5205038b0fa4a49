'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const Redis = require('ioredis').default
const { RedisStateManager, createRedisClient } = require('..')
const { RedisServer, freePort } = require('./harness/redis.js')
const { refusalOf } = require('./harness/refusal.js')

const file = (name) => path.join(__dirname, 'harness', 'tls', name)

let server
let directory
let socket
let tlsPort

beforeAll(async () => {
  tlsPort = await freePort()
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-login-'))
  socket = path.join(directory, 'socket')
  const tls = ['--tls-port', tlsPort, '--tls-auth-clients', 'no']
  tls.push('--tls-cert-file', file('cert.pem'), '--tls-key-file', file('key.pem'))
  server = await RedisServer.start(['--unixsocket', socket, ...tls])
  const admin = server.client()
  await admin.acl('SETUSER', 'reader', 'on', 'nopass', '~*', '&*', '+@all')
  await admin.acl('SETUSER', 'named', 'on', '>secret', '~*', '&*', '+@all')
})
afterAll(async () => {
  await server.stop()
  fs.rmSync(directory, { recursive: true })
})

/** The name of the user as whom Redis has logged the client in. */
async function userOf(server) {
  const client = createRedisClient(server, { commandTimeoutMs: 1000 })
  try {
    return await client.call('ACL', 'WHOAMI')
  } finally {
    client.disconnect()
  }
}

test.each([
  ['a URL', () => `redis://reader@127.0.0.1:${server.port}`],
  ['a URL with an empty password', () => `redis://reader:@127.0.0.1:${server.port}`],
  ['a URL of a Unix socket', () => `unix://${socket}?user=reader`],
  ['settings', () => ({ host: '127.0.0.1', port: server.port, username: 'reader' })],
  [
    'settings of TLS',
    () => ({
      host: '127.0.0.1',
      port: Number(tlsPort),
      username: 'reader',
      tls: { rejectUnauthorized: false },
    }),
  ],
  ['settings of a Unix socket', () => ({ path: socket, username: 'reader', password: '' })],
])('a user name without a password is spoken for with an empty one: %s', async (_from, where) => {
  expect(await userOf(where())).toBe('reader')
})

test.each([
  ['no user', () => `redis://127.0.0.1:${server.port}`],
  ['an empty user and password', () => `redis://:@127.0.0.1:${server.port}`],
  [
    'an empty user name',
    () => ({ host: '127.0.0.1', port: server.port, username: '', password: '' }),
  ],
])('%s is the default user', async (_what, where) => {
  expect(await userOf(where())).toBe('default')
})

test('a user who needs a password is refused without one', async () => {
  const error = await refusalOf(() => userOf(`redis://named@127.0.0.1:${server.port}`))
  expect(error.message).toMatch(/WRONGPASS/)
})

const byNodeRedis = (library) => () => {
  const socket = { host: '127.0.0.1', port: server.port }
  return require(library).createClient({ socket, username: 'reader' })
}

test.each([
  ['ioredis', () => new Redis({ port: server.port, username: 'reader', lazyConnect: true })],
  [
    'ioredis by a URL',
    () => new Redis(`redis://reader@127.0.0.1:${server.port}`, { lazyConnect: true }),
  ],
  ['node-redis 4', byNodeRedis('redis4')],
  ['node-redis 5', byNodeRedis('redis5')],
  ['node-redis 6', byNodeRedis('redis6')],
])('an instance of %s with a user name only is adopted as this user', async (_library, make) => {
  const admin = server.client()
  const manager = new RedisStateManager(make(), null)
  await manager.getSession('none')
  const lines = (await admin.client('LIST')).split('\n')
  const ours = lines.filter((line) => /name=synckairos/.test(line))
  expect(ours.length).toBeGreaterThan(0)
  for (const line of ours) expect(line).toContain('user=reader')
  await manager.close()
})
