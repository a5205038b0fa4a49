'use strict'

const path = require('node:path')
const { createRedisClient } = require('../index.js')
const { runScript } = require('./harness/child.js')
const { RedisServer, freePort } = require('./harness/redis.js')

const certificate = path.join(__dirname, 'harness', 'tls', 'cert.pem')
const key = path.join(__dirname, 'harness', 'tls', 'key.pem')

let server
let tlsPort

beforeAll(async () => {
  tlsPort = await freePort()
  const files = ['--tls-cert-file', certificate, '--tls-key-file', key]
  server = await RedisServer.start(['--tls-port', tlsPort, '--tls-auth-clients', 'no', ...files])
})
afterAll(() => server.stop())

// In a process of its own: the trusted roots are part of the environment.
async function ping(server, env = {}) {
  const script = `
    const { createRedisClient } = require('.')
    const client = createRedisClient(${JSON.stringify(server)}, { commandTimeoutMs: 2000 })
    client.on('error', () => {})
    client.ping().catch((error) => error.message).then(console.log).then(() => client.quit())`
  const { stdout, stderr, code } = await runScript(script, { env })
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 })
  return stdout.trim()
}

test.each([
  ['the system', 'SSL_CERT_FILE'],
  ['Node', 'NODE_EXTRA_CA_CERTS'],
])('a server whose certificate %s trusts is talked to', async (_who, variable) => {
  const env = { [variable]: certificate }
  expect(await ping(`rediss://localhost:${tlsPort}`, env)).toBe('PONG')
  expect(await ping({ host: 'localhost', port: Number(tlsPort), tls: true }, env)).toBe('PONG')
})

test('a server whose certificate is not trusted is refused', async () => {
  expect(await ping(`rediss://localhost:${tlsPort}`)).toMatch(
    /^Redis is unavailable: localhost:\d+: invalid peer certificate/,
  )
})

test("where the system trusts nobody, Node's own authorities are trusted", async () => {
  const nobody = path.join(server.directory, 'nobody')
  const env = { SSL_CERT_FILE: nobody, SSL_CERT_DIR: nobody }
  expect(await ping(`rediss://localhost:${tlsPort}`, env)).toMatch(/UnknownIssuer/)
})

test('verification is off only where the settings say so: no URL turns it off', async () => {
  const settings = { host: 'localhost', port: Number(tlsPort) }
  expect(await ping({ ...settings, tls: { rejectUnauthorized: false } })).toBe('PONG')
  expect(() => createRedisClient('rediss://localhost/#insecure')).toThrow(/fragment/)
})
