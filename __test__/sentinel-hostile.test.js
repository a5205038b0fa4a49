'use strict'

// Sentinels, and what passes for them, that a client of a service may meet.

const net = require('node:net')
const { createRedisClient } = require('../index.js')
const { FakeServer } = require('./harness/fake-server.js')
const { Managers } = require('./harness/managers.js')
const { freePort } = require('./harness/redis.js')
const { refusalOf } = require('./harness/refusal.js')
const { bulk } = require('./harness/requests.js')

const managers = new Managers()
/** @type {{ stop(): Promise<void> }[]} */
const servers = []

afterEach(async () => {
  await managers.close()
  await Promise.all(servers.splice(0).map((server) => server.stop()))
})

async function fake() {
  const server = await FakeServer.start()
  servers.push(server)
  return server
}

const list = (...words) => `*${words.length}\r\n${words.map((word) => bulk(String(word))).join('')}`

/** A sentinel that names this master, after a while. */
async function sentinelOf(host, port, afterMs = 0) {
  const sentinel = await fake()
  const answers = {
    MASTER: list('config-epoch', 1),
    'GET-MASTER-ADDR-BY-NAME': list(host, port),
    SENTINELS: '*0\r\n',
  }
  for (const [what, text] of Object.entries(answers)) {
    sentinel.answer(`SENTINEL ${what}`, (connection) => {
      setTimeout(() => connection.write(text), afterMs)
      return undefined
    })
  }
  return sentinel
}

/** A client of the master that this sentinel names; its outages are no warnings of the process. */
function clientOf({ port }, more, options) {
  const place = { sentinels: [{ host: '127.0.0.1', port }], name: 'm', ...more }
  return managers.keep(createRedisClient(place, options)).on('error', () => {})
}

test('a sentinel that takes 0.8 s for each answer is believed', async () => {
  const master = await fake()
  const client = clientOf(await sentinelOf('127.0.0.1', master.port, 800))
  expect(await client.ping()).toBe('PONG')
})

test.each(['::1', '[::1]'])(
  'natMap knows the IPv6 address of a server as %s, too',
  async (host) => {
    const [master, port] = [await fake(), await freePort()]
    const natMap = { [`${host}:${port}`]: { host: '127.0.0.1', port: master.port } }
    expect(await clientOf(await sentinelOf('::1', port), { natMap }).ping()).toBe('PONG')
  },
)

test('an address that is none is not connected to, nor repeated', async () => {
  const sentinel = await sentinelOf('redis://:p4ssw0rd@h\nx', 6379)
  const error = await refusalOf(() => clientOf(sentinel, {}, { commandTimeoutMs: 500 }).ping())
  expect(error.message).toContain(`127.0.0.1:${sentinel.port}: its answer cannot be read`)
  expect(error.message).not.toContain('p4ssw0rd')
})

test('a sentinel in the place of a server is refused in words that say how to name it', async () => {
  const sentinel = await fake()
  sentinel.answer('HELLO', () => `%2\r\n${bulk('mode')}${bulk('sentinel')}${bulk('proto')}:3\r\n`)
  const client = managers.keep(createRedisClient(sentinel.url, { commandTimeoutMs: 500 }))
  client.on('error', () => {})
  const error = await refusalOf(() => client.get('x'))
  expect(error.message).toContain(`127.0.0.1:${sentinel.port}: it is a sentinel`)
  expect(error.message).toContain('redis-sentinel://')
})

test.each(['ERR max number of clients reached', 'DENIED Redis is running in protected mode'])(
  'what a server says before it hangs up is the reason: %s',
  async (line) => {
    const server = net.createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', () => {})
      socket.end(`-${line}\r\n`)
    })
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    servers.push({ stop: () => new Promise((resolve) => server.close(resolve)) })
    const { port } = server.address()
    const client = managers.keep(
      createRedisClient(`redis://127.0.0.1:${port}`, { commandTimeoutMs: 500 }),
    )
    client.on('error', () => {})
    const error = await refusalOf(() => client.ping())
    expect(error.message).toContain(`127.0.0.1:${port}: ${line}`)
  },
)
