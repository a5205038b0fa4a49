'use strict'

const util = require('node:util')
const Redis = require('ioredis').default
const { DBWriteQueue, InvalidStateError, RedisStateManager, createRedisClient } = require('..')
const { FakeServer } = require('./harness/fake-server.js')
const { refusalOf, thrownBy } = require('./harness/refusal.js')

const SECRET = 'hunter2'

/** All that a log, a crash or a debugger may show of a value. */
function shown(value) {
  const parts = [util.inspect(value, { depth: 10, showHidden: true }), JSON.stringify(value)]
  for (let one = value; one instanceof Error; one = one.cause) {
    parts.push(one.message, one.stack, String(one))
    for (const name of Object.getOwnPropertyNames(one)) parts.push(String(one[name]))
  }
  return parts.join('\n')
}

const makers = [
  ['a client', (server) => createRedisClient(server)],
  ['a manager', (server) => new RedisStateManager(server)],
  ['a queue', (server) => new DBWriteQueue(server, { worker: false })],
]

describe.each(makers)('%s', (_what, make) => {
  test.each([
    // The scheme, or none.
    'hunter2',
    'hunter2://h',
    '//:hunter2@h',
    ':hunter2@h',
    'user:hunter2@h',
    'http://user:hunter2@h',
    'postgres://user:hunter2@h/db',
    // The user name and the password.
    'redis://hunter2%@h',
    'redis://hunter2:p@h:port',
    'redis://user:hunter2%zz@h',
    'redis://user:hunter2@',
    'redis://user:hunter2@h:port',
    'redis://user:hunter2@h:99999',
    'redis://user:hunter2@h@:x',
    'rediss://user:hunter2@h:port',
    // With what ends a password where it is not encoded.
    'redis://user:#hunter2@h',
    'redis://user:1#hunter2@h',
    'redis://user:a/hunter2@h:1',
    'redis://user:1/hunter2@h:1',
    'redis://user:a?hunter2@h',
    'redis://user:1?hunter2@h',
    'redis://user:a b hunter2@h h',
    // The host and the port.
    'redis://hunter2 x',
    'redis://hunter2^h',
    'redis://[hunter2]',
    'redis://h:hunter2',
    'redis://user:hunter2',
    'redis://user:p@h:hunter2',
    'redis://:hunter2@:1:2',
    // Sentinels.
    'redis-sentinel://user:hunter2@h',
    'redis-sentinel://user:hunter2@h:x/m',
    'redis-sentinel://user:hunter2%zz@h/m',
    'redis-sentinel://user:a/hunter2@h/m',
    'redis-sentinel://user:#hunter2@h/m',
    'redis-sentinel://h/m/hunter2',
    'redis-sentinel://h/m?password=hunter2',
    'redis-sentinel://h/m?hunter2',
    // The path.
    'redis://h/hunter2',
    'redis://h/1/hunter2',
    'redis:hunter2',
    'redis:/hunter2',
    'redis:///hunter2',
    // The query.
    'redis://h?hunter2',
    'redis://h?password=hunter2',
    'redis://h?pass=hunter2&db=1',
    'redis://h?keyPrefix=hunter2',
    'redis://h?db=hunter2',
    'rediss://h?hunter2=1',
    // The fragment.
    'redis://h#hunter2',
    'rediss://h/#insecure-hunter2',
    // Unix.
    'unix:///s?db=x&pass=hunter2',
    'unix:///s?password=hunter2',
    'unix:///s?hunter2',
    'unix:///s?db=hunter2',
    'unix:///s#hunter2',
    'unix://hunter2/s',
    'unix://user:hunter2@/s',
    'unix:///%hunter2',
  ])('refuses %s, and repeats no part of it', (url) => {
    const error = thrownBy(() => make(url))
    expect(error).toBeInstanceOf(InvalidStateError)
    expect(error.field).toBe('url')
    expect(error.message).toMatch(/expected redis:\/\/user:\*\*\*@host:6379\/0/)
    expect(shown(error)).not.toContain(SECRET)
  })

  test.each([
    { host: 'redis://:hunter2@h' },
    { host: ':hunter2@h' },
    { host: 'h?password=hunter2' },
    { host: 'h', port: 'hunter2' },
    { host: 'h', port: NaN, password: 'hunter2' },
    { host: 'h', db: 'hunter2' },
    { host: 'h', db: -1, username: 'hunter2' },
    { host: 'h', password: ['hunter2'] },
    { host: 'h', password: Buffer.from('hunter2') },
    { host: 'h', username: { hunter2: 1 } },
    { path: 'redis://:hunter2@h' },
    { password: 'hunter2' },
    { url: 'redis://:hunter2@h' },
    { host: 'h', password: 'hunter2', tls: 'hunter2' },
    { host: 'h', tls: { ca: 'hunter2' } },
    { host: 'h', tls: { key: '-----BEGIN PRIVATE KEY-----\nhunter2\n', cert: 'hunter2' } },
    { host: 'h', tls: { cert: '-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----' } },
    { host: 'h', tls: { ca: '-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----' } },
    { host: 'h', tls: { passphrase: 'hunter2' } },
    { sentinels: [{ host: 'h' }], name: 'm', natMap: { 'redis://:hunter2@h:1': {} } },
    { sentinels: [{ host: 'h' }], name: 'm', natMap: { 'redis://:hunter2@h': {} } },
  ])('refuses settings (%#), and repeats no value of them', (settings) => {
    const error = thrownBy(() => make(settings))
    expect(error).toBeInstanceOf(InvalidStateError)
    expect(shown(error)).not.toContain(SECRET)
  })

  test('refuses an instance that cannot be honoured, and repeats nothing of it', () => {
    for (const options of [
      { password: 'hunter2', tls: { passphrase: 'hunter2' } },
      { password: 'hunter2', host: 'redis://:hunter2@h' },
      { sentinels: [{ host: 'hunter2@h' }], name: 'm', password: 'hunter2' },
      { sentinels: [{ host: 'h' }], name: 'm', role: 'slave', sentinelPassword: 'hunter2' },
      { sentinels: [{ host: 'h' }], name: 'm', sentinelTLS: { passphrase: 'hunter2' } },
    ]) {
      const instance = new Redis({ ...options, lazyConnect: true })
      const error = thrownBy(() => make(instance))
      expect(error).toBeInstanceOf(InvalidStateError)
      expect(shown(error)).not.toContain(SECRET)
    }
  })
})

test.each([
  ['redis://user:hunter2@no-such-host.invalid', /no-such-host\.invalid:6379/],
  ['rediss://user:hunter2@127.0.0.1:1/3', /127\.0\.0\.1:1/],
  ['unix:///no/such/socket?user=u&pass=hunter2&db=2', /\/no\/such\/socket/],
  [
    'redis-sentinel://:hunter2@127.0.0.1:1/m?sentinelPassword=hunter2',
    /m \(sentinels 127\.0\.0\.1:1\)/,
  ],
])('%s: the error of a call names the server, and no secret', async (url, name) => {
  const client = createRedisClient(url, { commandTimeoutMs: 300 })
  const errors = []
  client.on('error', (error) => errors.push(error))
  errors.push(await refusalOf(() => client.ping()))
  client.disconnect()
  for (const error of errors) {
    expect(error.message).toMatch(name)
    expect(shown(error)).not.toContain(SECRET)
  }
})

test.each([
  ['a server', (port) => `redis://user:hunter2@127.0.0.1:${port}`],
  ['a sentinel', (port) => `redis-sentinel://127.0.0.1:${port}/m?sentinelPassword=hunter2`],
])(
  '%s that knows neither HELLO nor AUTH quotes the password, and we do not',
  async (_what, url) => {
    const fake = await FakeServer.start()
    const quoting = (name, args) =>
      `-ERR unknown command \`${name}\`, with args beginning with: ${args}\r\n`
    for (const name of ['HELLO', 'AUTH']) {
      fake.answer(name, (_connection, words) => {
        const args = words.slice(1).map((word) => `\`${word}\`, `)
        return quoting(name, args.join(''))
      })
    }
    const client = createRedisClient(url(fake.port), { commandTimeoutMs: 300 })
    const errors = []
    client.on('error', (error) => errors.push(error))
    errors.push(await refusalOf(() => client.ping()))
    client.disconnect()
    await fake.stop()
    for (const error of errors) expect(shown(error)).not.toContain(SECRET)
    expect(errors.at(-1).message).toMatch(/ERR unknown command `AUTH`/)
  },
)
