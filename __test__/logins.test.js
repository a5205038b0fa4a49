'use strict'

const path = require('node:path')
const Redis = require('ioredis').default
const { RedisStateManager, createRedisClient } = require('..')
const { RedisServer, freePort } = require('./harness/redis.js')
const { refusalOf } = require('./harness/refusal.js')

const file = (name) => path.join(__dirname, 'harness', 'tls', name)

let server
let socket
let tlsPort

beforeAll(async () => {
  tlsPort = await freePort()
  const directory = require('node:fs').mkdtempSync(path.join(require('node:os').tmpdir(), 'login-'))
  socket = path.join(directory, 'socket')
  const tls = ['--tls-port', tlsPort, '--tls-auth-clients', 'no']
  tls.push('--tls-cert-file', file('cert.pem'), '--tls-key-file', file('key.pem'))
  server = await RedisServer.start(['--unixsocket', socket, ...tls])
  const admin = server.client()
  await admin.acl('SETUSER', 'reader', 'on', 'nopass', '~*', '&*', '+@all')
  await admin.acl('SETUSER', 'named', 'on', '>secret', '~*', '&*', '+@all')
})
afterAll(() => server.stop())

/** Whom Redis takes the client for. */
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
  ['a URL of TLS', () => `rediss://reader@127.0.0.1:${tlsPort}/#insecure`],
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

test.each([
  ['settings', () => new Redis({ port: server.port, username: 'reader', lazyConnect: true })],
  ['a URL', () => new Redis(`redis://reader@127.0.0.1:${server.port}`, { lazyConnect: true })],
])(
  'an instance of ioredis with a user name only is adopted as this user: %s',
  async (_by, make) => {
    const admin = server.client()
    const instance = make()
    const manager = new RedisStateManager(instance)
    await manager.getSession('none')
    const ours = (await admin.client('LIST'))
      .split('\n')
      .filter((line) => /name=synckairos/.test(line))
    expect(ours.length).toBeGreaterThan(0)
    for (const line of ours) expect(line).toContain('user=reader')
    await manager.close()
  },
)
