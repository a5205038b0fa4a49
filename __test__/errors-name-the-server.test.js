'use strict'

const {
  DBWriteQueue,
  RedisStateManager,
  RedisUnavailableError,
  createRedisClient,
} = require('../index.js')
const { FakeServer } = require('./harness/fake-server.js')
const { Outage } = require('./harness/outage.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { freePort } = require('./harness/redis.js')
const { refusalOf } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const outage = Outage.use()

const OPTIONS = { commandTimeoutMs: 400 }
const SECRET = 'p4ssw0rd'

/** What every such error's message is: it names the server, in words, and nothing secret. */
function expectToName(error, port, words) {
  expect(error).toBeInstanceOf(RedisUnavailableError)
  expect(error.message).toContain(`127.0.0.1:${port}`)
  expect(error.message).toMatch(words)
  expect(error.message).not.toMatch(/os error|errno|ECONN|[A-Z]\w+Error\b|\w+::\w+|\(\)/)
  expect(`${error.stack}${JSON.stringify(error)}`).not.toContain(SECRET)
}

/** A read and a write, and what each is rejected with. */
function bothRefused(manager) {
  return Promise.all([
    refusalOf(() => manager.getSession('none')),
    refusalOf(() => manager.createSession(makeState())),
  ])
}

describe('RedisUnavailableError names the server, and says in words what is wrong', () => {
  test('nobody listens', async () => {
    const port = await freePort()
    for (const error of await bothRefused(outage.manage(`redis://127.0.0.1:${port}`, OPTIONS))) {
      expectToName(error, port, /connection refused/i)
    }
  })

  test('the connection is reset whenever it is made', async () => {
    outage.proxy.mode = 'refuse'
    const manager = outage.manage(outage.proxy.url, OPTIONS)
    for (const error of await bothRefused(manager)) {
      expectToName(error, outage.proxy.port, /reset|lost|closed/i)
    }
  })

  test('the connection is lost', async () => {
    const manager = await outage.connected(OPTIONS)
    outage.proxy.mode = 'refuse'
    outage.proxy.reset()
    for (const error of await bothRefused(manager)) {
      expectToName(error, outage.proxy.port, /reset|lost|closed/i)
    }
  })

  test('no answer comes', async () => {
    const manager = await outage.connected(OPTIONS)
    outage.proxy.mode = 'blackhole'
    const error = await refusalOf(() => manager.getSession('none'))
    expectToName(error, outage.proxy.port, /did not answer|no answer|timed? ?out/i)
  })

  test('the connection is made, and the greeting is never answered', async () => {
    outage.proxy.mode = 'blackhole'
    const manager = outage.manage(outage.proxy.url, OPTIONS)
    for (const error of await bothRefused(manager)) {
      expectToName(error, outage.proxy.port, /answer|timed? ?out|no connection/i)
    }
  })

  test.each([
    ['READONLY', "READONLY You can't write against a read only replica."],
    ['LOADING', 'LOADING Redis is loading the dataset in memory'],
    ['NOREPLICAS', 'NOREPLICAS Not enough good replicas to write.'],
  ])('Redis refuses: %s', async (code, line) => {
    const fake = await FakeServer.start()
    try {
      for (const command of ['GET', 'EVAL', 'EVALSHA']) fake.answer(command, () => `-${line}\r\n`)
      for (const error of await bothRefused(outage.manage(fake.url, OPTIONS))) {
        expectToName(error, fake.port, RegExp(code))
      }
    } finally {
      await fake.stop()
    }
  })

  test('whoever speaks is refused, and the password is not told', async () => {
    const { port } = outage.server
    const manager = outage.manage(`redis://nobody:${SECRET}@127.0.0.1:${port}`, OPTIONS)
    for (const error of await bothRefused(manager)) expectToName(error, port, /WRONGPASS/)
  })

  test('nor where there is nobody to tell it to', async () => {
    const port = await freePort()
    const manager = outage.manage(`redis://user:${SECRET}@127.0.0.1:${port}/3`, OPTIONS)
    for (const error of await bothRefused(manager)) {
      expectToName(error, port, /connection refused/i)
      expect(error.message).not.toContain('user')
    }
  })

  test('a server is named as its owner names it', async () => {
    const port = await freePort()
    const manager = outage.manage(`redis://localhost:${port}`, OPTIONS)
    for (const { message } of await bothRefused(manager)) {
      expect(message).toContain(`localhost:${port}`)
    }
    const byPath = outage.manage('unix:///tmp/no-such-redis.sock', OPTIONS)
    for (const { message } of await bothRefused(byPath)) {
      expect(message).toContain('/tmp/no-such-redis.sock')
      expect(message).not.toMatch(/os error/)
    }
  })
})

describe('so does whatever else tells of a lost connection', () => {
  const url = (port) => `redis://user:${SECRET}@127.0.0.1:${port}`

  test("a client's error event, and call()", async () => {
    const port = await freePort()
    const client = createRedisClient(url(port), OPTIONS)
    const errors = []
    client.on('error', (error) => errors.push(error))
    expectToName(await refusalOf(() => client.ping()), port, /connection refused/i)
    await client.quit()
    expect(errors).not.toHaveLength(0)
    for (const error of errors) expectToName(error, port, /connection refused/i)
  })

  test('subscribed()', async () => {
    const port = await freePort()
    const manager = outage.manage(url(port), OPTIONS)
    manager.subscribeToUpdates(() => {})
    expectToName(await refusalOf(() => manager.subscribed()), port, /connection refused/i)
  })

  test("a queue's error event, and its calls", async () => {
    const port = await freePort()
    const queue = new DBWriteQueue(url(port), { ...OPTIONS, worker: false })
    try {
      const call = () => queue.queueWrite('s', makeState({ session_id: 's' }), 'event')
      expectToName(await refusalOf(call), port, /connection refused/i)
    } finally {
      await queue.close(true)
    }
  })

  test('the logger', async () => {
    const port = await freePort()
    const logger = recordingLogger()
    const manager = new RedisStateManager(url(port), null, null, { ...OPTIONS, logger })
    await refusalOf(() => manager.getSession('none'))
    await until(() => logger.entries.length > 0)
    await manager.close()
    const told = logger.entries.map(([, fields, message]) => {
      const { err, error = err, ...rest } = fields
      return `${message} ${error?.message ?? ''} ${JSON.stringify(rest)}`
    })
    expect(told.join('\n')).toContain(`127.0.0.1:${port}`)
    expect(told.join('\n')).not.toContain(SECRET)
  })
})
