'use strict'

const { once } = require('node:events')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const Redis = require('ioredis').default
const { createRedisClient } = require('..')
const { runScript } = require('./harness/child.js')
const { RedisServer, freePort } = require('./harness/redis.js')
const { refusalOf } = require('./harness/refusal.js')

const file = (name) => path.join(__dirname, 'harness', 'tls', name)
const pem = (name) => fs.readFileSync(file(name), 'utf8')

const servers = []

afterAll(() => Promise.all(servers.map((server) => server.stop())))

/** The TLS port of a Redis that shows this certificate. */
async function shows(certificate, ...more) {
  const port = await freePort()
  const files = ['--tls-cert-file', file(certificate), '--tls-key-file', file('key.pem')]
  const args = ['--tls-port', port, '--tls-auth-clients', 'no', ...files, ...more]
  servers.push(await RedisServer.start(args))
  return port
}

/** The answer to a PING, or the reason of its failure. */
async function ping(port, ca, host = 'localhost') {
  const client = createRedisClient({ host, port, tls: { ca } }, { commandTimeoutMs: 1000 })
  try {
    return await client.ping()
  } catch (error) {
    return error.message
  } finally {
    client.disconnect()
  }
}

/** The same with ioredis, to compare. */
async function pingByIoredis(port, ca) {
  const client = new Redis({ host: 'localhost', port, tls: { ca }, retryStrategy: null })
  client.on('error', () => {})
  try {
    return await client.ping()
  } catch (error) {
    return error.message
  } finally {
    client.disconnect()
  }
}

describe('a self-signed certificate that says it is an authority', () => {
  let port
  beforeAll(async () => {
    port = await shows('self-signed.pem')
  })

  test.each(['TLSv1.2', 'TLSv1.3'])('is trusted where it is the given one, by %s', async (tls) => {
    const only = await shows('self-signed.pem', '--tls-protocols', tls)
    expect(await ping(only, pem('self-signed.pem'))).toBe('PONG')
    expect(await pingByIoredis(only, pem('self-signed.pem'))).toBe('PONG')
  })

  test('is trusted where it is one of several', async () => {
    expect(await ping(port, [pem('namesake.pem'), pem('self-signed.pem')])).toBe('PONG')
  })

  test.each(['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE'])('is trusted by %s', async (variable) => {
    const script = `
      const { createRedisClient } = require('.')
      const client = createRedisClient('rediss://localhost:${port}', { commandTimeoutMs: 2000 })
      client.ping().catch((error) => error.message).then(console.log).then(() => client.quit())`
    const { stdout } = await runScript(script, { env: { [variable]: file('self-signed.pem') } })
    expect(stdout.trim()).toBe('PONG')
  })

  test('is refused where it is not given', async () => {
    expect(await ping(port, pem('namesake.pem'))).toMatch(/Redis is unavailable: localhost/)
    expect(await pingByIoredis(port, pem('namesake.pem'))).not.toBe('PONG')
  })

  test('is refused for a server of another name', async () => {
    expect(await ping(port, pem('self-signed.pem'), '127.0.0.1')).toMatch(/name/)
  })

  test('is refused once it has expired', async () => {
    const expired = await shows('expired.pem')
    expect(await ping(expired, pem('expired.pem'))).toMatch(/expired/)
    expect(await pingByIoredis(expired, pem('expired.pem'))).not.toBe('PONG')
  })
})

describe('a given certificate that is no authority', () => {
  test('is trusted itself', async () => {
    const port = await shows('cert.pem')
    expect(await ping(port, pem('cert.pem'))).toBe('PONG')
    expect(await pingByIoredis(port, pem('cert.pem'))).toBe('PONG')
  })

  test('vouches for no other', async () => {
    const port = await shows('borrowed.pem')
    expect(await ping(port, pem('cert.pem'))).toMatch(/UnknownIssuer/)
    expect(await pingByIoredis(port, pem('cert.pem'))).not.toBe('PONG')
  })
})

describe('the error says what can be done about', () => {
  test.each([
    ['an unknown authority', 'cert.pem', { ca: pem('namesake.pem') }, /UnknownIssuer/],
    ['a self-signed certificate', 'self-signed.pem', { ca: pem('namesake.pem') }, /UnknownIssuer/],
  ])('%s', async (_what, shown, tls, words) => {
    const message = await ping(await shows(shown), tls.ca)
    expect(message).toMatch(words)
    expect(message).toMatch(
      /`tls: \{ ca \}`.*NODE_EXTRA_CA_CERTS.*`tls: \{ rejectUnauthorized: false \}`/,
    )
  })

  test('the same, met by a URL alone', async () => {
    const url = `rediss://localhost:${await shows('self-signed.pem')}`
    const client = createRedisClient(url, { commandTimeoutMs: 1000 })
    const { message } = await refusalOf(() => client.ping())
    client.disconnect()
    expect(message).toMatch(
      /settings in place of a URL, with `tls: \{ rejectUnauthorized: false \}`/,
    )
  })

  test('an expired certificate', async () => {
    expect(await ping(await shows('expired.pem'), pem('expired.pem'))).toMatch(/expired.*renew it/)
  })

  test('a wrong name', async () => {
    const message = await ping(await shows('self-signed.pem'), pem('self-signed.pem'), '127.0.0.1')
    expect(message).toMatch(/subjectAltName/)
  })

  test('a server that wants a certificate of the client', async () => {
    const port = await shows(
      'cert.pem',
      '--tls-auth-clients',
      'yes',
      '--tls-ca-cert-file',
      file('cert.pem'),
    )
    expect(await ping(port, pem('cert.pem'))).toMatch(/`tls: \{ cert, key \}`/)
  })

  test('a port that does not speak TLS', async () => {
    const plain = net.createServer((socket) => socket.on('data', () => socket.write('-ERR\r\n')))
    plain.on('connection', (socket) => socket.on('error', () => {}))
    plain.listen(0, '127.0.0.1')
    await once(plain, 'listening')
    expect(await ping(plain.address().port, pem('cert.pem'), '127.0.0.1')).toMatch(/TLS port/)
    plain.close()
  })
})
