'use strict'

const {
  InvalidStateError,
  RedisStateManager,
  RedisUnavailableError,
  createRedisClient,
} = require('../index.js')
const { Managers } = require('./harness/managers.js')
const { freePort } = require('./harness/redis.js')
const { refusalOf, thrownBy } = require('./harness/refusal.js')
const { SentinelGroup } = require('./harness/sentinel.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const PASSWORD = 'p4ssw0rd'
const SENTINEL_PASSWORD = 's3ntinel'
const OPTIONS = { commandTimeoutMs: 500 }

let group
const managers = new Managers()

beforeAll(async () => {
  group = await SentinelGroup.start({ password: PASSWORD, sentinelPassword: SENTINEL_PASSWORD })
}, 60_000)

afterAll(() => group.stop())

afterEach(() => managers.close())

const settings = (more) => ({
  sentinels: group.sentinels.map(({ host, port }) => ({ host, port })),
  name: group.name,
  password: PASSWORD,
  sentinelPassword: SENTINEL_PASSWORD,
  ...more,
})

const at = ({ host, port }) => `${host}:${port}`

/** What a read and a write are rejected with at their deadline: it names all of these, and nothing secret. */
async function expectRefused(server, ...named) {
  const manager = managers.keep(new RedisStateManager(server, null, null, OPTIONS))
  const read = refusalOf(() => manager.getSession('a'))
  const write = refusalOf(() => manager.createSession(makeState()))
  for (const error of await Promise.all([read, write])) {
    expect(error).toBeInstanceOf(RedisUnavailableError)
    for (const text of named) expect(error.message).toContain(text)
    expect(`${error.stack}${JSON.stringify(error)}`).not.toMatch(/p4ssw0rd|s3ntinel/)
  }
}

describe('calls end with the reason why there is no master', () => {
  test('no sentinel listens', async () => {
    const sentinels = [await freePort(), await freePort()].map((port) => ({
      host: '127.0.0.1',
      port,
    }))
    const named = sentinels.map(at).join(', ')
    const reason = `no sentinel tells where the master is: ${named}: connection refused`
    await expectRefused(settings({ sentinels }), `sessions (sentinels ${named}): ${reason}`)
  })

  test('the sentinel is a Redis server', async () => {
    const [{ host, port }] = group.servers
    const given = settings({ sentinels: [{ host, port }], sentinelPassword: PASSWORD })
    await expectRefused(given, `${host}:${port}: it is no sentinel`, 'use a redis:// URL')
  })

  test('the sentinels know no master of that name', async () => {
    const reason = 'it knows no master named "orders": check the name'
    await expectRefused(settings({ name: 'orders' }), `${at(group.sentinels[2])}: ${reason}`)
  })

  test.each([
    ['none', undefined, 'NOAUTH it requires a password: set sentinelPassword'],
    ['a wrong one', 'wr0ng', 'check sentinelUsername and sentinelPassword'],
  ])('the password for the sentinels is %s', async (_what, sentinelPassword, reason) => {
    await expectRefused(settings({ sentinelPassword }), ...group.sentinels.map(at), reason)
  })

  test('the password for the master is a wrong one', async () => {
    const master = await group.master()
    await expectRefused(settings({ password: 'wr0ng' }), `${at(master)}: WRONGPASS`)
  })

  test('the address that the sentinels announce cannot be reached', async () => {
    const [master, port] = [await group.master(), await freePort()]
    const natMap = { [at(master)]: { host: '127.0.0.1', port } }
    await expectRefused(settings({ natMap }), `127.0.0.1:${port}: connection refused`, 'set natMap')
  })
})

test('the reason is told to who listens for errors', async () => {
  const client = managers.keep(createRedisClient(settings({ name: 'orders' })))
  const errors = []
  client.on('error', (error) => errors.push(error))
  client.ping().catch(() => {})
  await until(() => errors.length > 0)
  expect(errors[0].message).toMatch(/orders \(sentinels .*it knows no master named "orders"/)
})

test.each([
  [{ sentinels: [] }, 'redis.sentinels'],
  [{ sentinels: 'h:1' }, 'redis.sentinels'],
  [{ sentinels: [{ port: 1 }] }, 'redis.sentinels[0].host'],
  [{ sentinels: [{ host: 'redis://:p4ssw0rd@h' }] }, 'redis.sentinels[0].host'],
  [{ sentinels: [{ host: 'h', port: 0 }] }, 'redis.sentinels[0].port'],
  [{ name: undefined }, 'redis.name'],
  [{ name: 'p4ssw0rd@h' }, 'redis.name'],
  [{ host: 'h' }, 'redis.host'],
  [{ path: '/s' }, 'redis.path'],
  [{ sentinelPassword: 1 }, 'redis.sentinelPassword'],
  [{ sentinelTLS: 'yes' }, 'redis.sentinelTLS'],
  [{ sentinelTLS: { ca: 'nonsense' } }, 'redis.sentinelTLS.ca'],
  [{ natMap: () => {} }, 'redis.natMap'],
  [{ natMap: { h: { host: 'h', port: 1 } } }, 'redis.natMap'],
  [{ natMap: { 'h:1': { host: 'h' } } }, "redis.natMap['h:1'].port"],
  [{ role: 'slave' }, 'redis.role'],
  [{ sentinels: ['h:1'] }, 'redis.sentinels[0]'],
  [{ sentinels: [{ host: 'h', prot: 1 }] }, 'redis.sentinels[0].prot'],
  [{ natMap: [] }, 'redis.natMap'],
  [{ natMap: new Map() }, 'redis.natMap'],
  [{ natMap: { 'redis://:p4ssw0rd@h:1': { host: 'h' } } }, 'redis.natMap'],
  [{ natMap: { 'h:1': 'h:2' } }, "redis.natMap['h:1']"],
  [{ enableTLSForSentinelMode: 0 }, 'redis.enableTLSForSentinelMode'],
])('%j are refused by the name of the one at fault', (fault, field) => {
  const given = { sentinels: [{ host: 'h' }], name: 'm', ...fault }
  const error = thrownBy(() => createRedisClient(given))
  expect(error).toBeInstanceOf(InvalidStateError)
  expect(error.field).toBe(field)
  expect(error.message).not.toContain('p4ssw0rd')
})

test.each([
  ['name', 'm'],
  ['sentinelPassword', 'p4ssw0rd'],
  ['natMap', {}],
])('%s without sentinels is refused in words that say what it belongs to', (name, value) => {
  const given = { host: 'h', sentinels: undefined, [name]: value }
  const error = thrownBy(() => createRedisClient(given))
  expect(error).toMatchObject({
    field: `redis.${name}`,
    message: expect.stringMatching(/set sentinels/),
  })
  expect(error.message).not.toContain('p4ssw0rd')
})

test.each([
  ['redis-sentinel://h', /names no master/],
  ['redis-sentinel://h/', /names no master/],
  ['redis-sentinel://h//1', /names no master/],
  ['redis-sentinel:///m', /cannot be read/],
  ['redis-sentinel://h,/m', /cannot be read/],
  ['redis-sentinel://h:1,h:x/m', /cannot be read/],
  ['redis-sentinel://h/m/first', /database is no number/],
  ['redis-sentinel://h/m?tls=1', /sets tls/],
  ['redis-sentinel://h/m#f', /cannot be read/],
  ['redis-sentinel://user:1/p4ssw0rd@h/m', /name of a master|database is no number/],
  ['redis-sentinel://user:a#p4ssw0rd@h/m', /cannot be read/],
])('%s is refused in words that say what is wrong', (url, words) => {
  const error = thrownBy(() => createRedisClient(url))
  expect(error).toBeInstanceOf(InvalidStateError)
  expect(error.message).toMatch(words)
  expect(error.message).not.toContain('p4ssw0rd')
})
