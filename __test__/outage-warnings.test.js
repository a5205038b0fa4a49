'use strict'

const { DBWriteQueue, RedisStateManager, createRedisClient } = require('..')
const { startScript } = require('./harness/child.js')
const { PostgresServer } = require('./harness/postgres.js')
const { TcpProxy } = require('./harness/proxy.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { RedisServer, freePort } = require('./harness/redis.js')
const { refusalOf } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { sleep, until } = require('./harness/until.js')

const PRELUDE = `
  const { DBWriteQueue, RedisStateManager, createRedisClient } = require('.')
  const { makeState } = require('./__test__/harness/sessions.js')
  const { URL_OF_REDIS: url, DATABASE: databaseUrl } = process.env
  const tell = (what) => process.send(what)
  process.on('warning', ({ code, name, message }) => tell({ code, name, message }))
  const quietly = (promise) => promise.catch(() => {})
`

const children = []
let server
let proxy

beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server.stop())

beforeEach(async () => {
  proxy = await TcpProxy.start(server.port)
})
afterEach(async () => {
  for (const { child, ended } of children.splice(0)) {
    child.kill('SIGKILL')
    await ended
  }
  await proxy.stop()
})

/** A process that runs a script, and what it was warned of. It says when it is ready. */
async function inProcess(body, env = {}) {
  const source = `${PRELUDE}\n;(async () => {${body}\ntell('ready')})()`
  const started = startScript(source, { env: { URL_OF_REDIS: proxy.url, ...env }, ipc: true })
  children.push(started)
  const [said, warnings] = [new Set(), []]
  started.child.on('message', (message) => {
    if (typeof message === 'string') said.add(message)
    else warnings.push(message)
  })
  const heard = (message) => until(() => said.has(message), 10_000)
  await heard('ready')
  return {
    warnings,
    codes: () => warnings.map(({ code }) => code),
    heard,
    warned: (count) => until(() => warnings.length >= count, 10_000),
    ended: started.ended,
  }
}

/** Nobody answers, until it is undone. */
function cut() {
  proxy.mode = 'refuse'
  proxy.reset()
  return () => {
    proxy.mode = 'pass'
  }
}

const OUTAGE = 'SYNCKAIROS_REDIS_OUTAGE'
const RECOVERED = 'SYNCKAIROS_REDIS_RECOVERED'

const TEN = `
  const managers = Array.from({ length: 10 }, () => new RedisStateManager(url))
  const client = createRedisClient(url)
  const queue = new DBWriteQueue(url, { databaseUrl: 'postgres://nobody@127.0.0.1:1/x' })
  managers[0].subscribeToUpdates(() => {})
  await managers[0].subscribed()
  const use = () => Promise.all([client.ping(), queue.getMetrics(), ...managers.map((one) => one.getSession('s'))])
  await use()
`

test('an outage that many see is one warning, and one when it is over', async () => {
  const it = await inProcess(`${TEN}; setInterval(() => quietly(use()), 50)`)
  for (let outages = 1; outages <= 2; outages++) {
    const restore = cut()
    await it.warned(2 * outages - 1)
    await sleep(1500)
    expect(it.warnings).toHaveLength(2 * outages - 1)
    restore()
    await it.warned(2 * outages)
  }
  expect(it.codes()).toEqual([OUTAGE, RECOVERED, OUTAGE, RECOVERED])
  const [began, ended] = it.warnings
  expect(began.name).toBe('SynckairosWarning')
  expect(began.message).toMatch(`127.0.0.1:${proxy.port}`)
  expect(ended.message).toMatch(`127.0.0.1:${proxy.port}`)
}, 30_000)

test('a connection that is made again by the first try was no outage', async () => {
  const it = await inProcess(`
    const manager = new RedisStateManager(url)
    manager.subscribeToUpdates(() => {})
    await manager.subscribed()
    setInterval(() => quietly(manager.getSession('s').then(() => tell('again'))), 20)
  `)
  for (let resets = 0; resets < 5; resets++) {
    proxy.reset()
    await it.heard('again')
    await sleep(300)
  }
  expect(it.warnings).toEqual([])
})

test.each([
  ['a manager', `quietly(new RedisStateManager(url).getSession('s')).then(() => {})`],
  ['a subscription', `new RedisStateManager(url).subscribeToUpdates(() => {})`],
  ['a client', `quietly(createRedisClient(url).ping())`],
  ['a queue without a worker', `quietly(new DBWriteQueue(url, { worker: false }).getMetrics())`],
  ['a worker', `new DBWriteQueue(url, { databaseUrl: 'postgres://nobody@127.0.0.1:1/x' })`],
])('%s that never was connected warns', async (_who, make) => {
  const restore = cut()
  const it = await inProcess(`${make}; setInterval(() => {}, 1000)`)
  await it.warned(1)
  restore()
  await it.warned(2)
  expect(it.codes()).toEqual([OUTAGE, RECOVERED])
})

test('two servers have an outage each', async () => {
  const nobody = `redis://127.0.0.1:${await freePort()}`
  const it = await inProcess(
    `for (const one of [url, process.env.OTHER]) quietly(createRedisClient(one).ping())`,
    { URL_OF_REDIS: `redis://127.0.0.1:${await freePort()}`, OTHER: nobody },
  )
  await it.warned(2)
  expect(it.codes()).toEqual([OUTAGE, OUTAGE])
})

test('what is closed meanwhile says no more', async () => {
  const it = await inProcess(
    `
    const manager = new RedisStateManager(url)
    await manager.getSession('s')
    process.once('warning', async () => {
      await manager.close()
      await new RedisStateManager(process.env.DIRECT).getSession('s')
      tell('closed')
    })
    setInterval(() => quietly(manager.getSession('s')), 50)
  `,
    { DIRECT: server.url },
  )
  cut()
  await it.heard('closed')
  expect(it.codes()).toEqual([OUTAGE])
})

test('closing is no outage', async () => {
  const it = await inProcess(`${TEN}
    await Promise.all([...managers, queue].map((one) => one.close()))
    await client.quit()
  `)
  expect(await it.ended).toMatchObject({ code: 0, stderr: '' })
  expect(it.warnings).toEqual([])
})

test.each([
  [
    'a client with a listener for error',
    `const client = createRedisClient(url)
     client.on('error', () => tell('told'))
     const manager = new RedisStateManager(client, client)`,
  ],
  [
    'a logger',
    `const logger = { warn: () => tell('told'), error() {} }
     const manager = new RedisStateManager(url, null, null, { logger })`,
  ],
])('%s hears instead', async (_who, make) => {
  const it = await inProcess(`
    ${make}
    manager.subscribeToUpdates(() => {})
    await manager.subscribed()
    setInterval(() => quietly(manager.getSession('s').then(() => tell('read'))), 50)
  `)
  const restore = cut()
  await it.heard('told')
  await sleep(1500)
  restore()
  await it.heard('read')
  expect(it.warnings).toEqual([])
})

test('--no-warnings hides all, as of Node', async () => {
  const it = await inProcess(
    `
    const manager = new RedisStateManager(url, null, null, { commandTimeoutMs: 300 })
    await quietly(manager.getSession('s'))
    await manager.close()
    process.channel.unref()
  `,
    { URL_OF_REDIS: `redis://127.0.0.1:${await freePort()}`, NODE_OPTIONS: '--no-warnings' },
  )
  expect(await it.ended).toMatchObject({ code: 0, stderr: '' })
  expect(it.codes()).toEqual([OUTAGE])
})

test('without the option they are on stderr, with their code', async () => {
  const it = await inProcess(
    `
    const manager = new RedisStateManager(url, null, null, { commandTimeoutMs: 300 })
    await quietly(manager.getSession('s'))
    await manager.close()
    process.channel.unref()
  `,
    { URL_OF_REDIS: `redis://user:hunter2@127.0.0.1:${await freePort()}` },
  )
  const { stderr } = await it.ended
  expect(stderr).toMatch(/\[SYNCKAIROS_REDIS_OUTAGE\] SynckairosWarning: Redis is unavailable/)
  expect(stderr).not.toContain('hunter2')
})

test('an error that a logger would hear of is told once of its kind', async () => {
  const it = await inProcess(`
    const manager = new RedisStateManager(url)
    let heard = 0
    manager.subscribeToUpdates(() => {
      if (++heard === 3) tell('heard')
      throw new Error('secret content')
    })
    await manager.subscribed()
    for (let n = 0; n < 3; n++) await manager.createSession(makeState())
  `)
  await it.heard('heard')
  await it.warned(1)
  expect(it.warnings).toEqual([
    {
      code: 'SYNCKAIROS_UNHEARD',
      name: 'SynckairosWarning',
      message: expect.stringMatching(/a subscription callback failed/),
    },
  ])
  expect(JSON.stringify(it.warnings)).not.toContain('secret')
})

describe('PostgreSQL', () => {
  let postgres
  beforeAll(async () => {
    postgres = await PostgresServer.start()
  })
  afterAll(() => postgres.stop())

  const WORKERS = `
    const queues = ['a', 'b', 'c'].map((queueName) => new DBWriteQueue(url, { databaseUrl, queueName }))
    await queues[0].migrate()
    const write = () => queues.map((queue) => quietly(queue.queueWrite(crypto.randomUUID(), makeState(), 'event')))
    setInterval(write, 200)
  `

  test('an outage that many workers see is one warning, and one when it is over', async () => {
    const url = new URL(await postgres.createDatabase())
    const line = await TcpProxy.start(Number(url.port))
    url.port = String(line.port)
    const it = await inProcess(WORKERS, { DATABASE: url.href })
    line.mode = 'refuse'
    line.reset()
    await it.warned(1)
    await sleep(1500)
    expect(it.codes()).toEqual(['SYNCKAIROS_POSTGRESQL_OUTAGE'])
    line.mode = 'pass'
    await it.warned(2)
    expect(it.codes()).toEqual(['SYNCKAIROS_POSTGRESQL_OUTAGE', 'SYNCKAIROS_POSTGRESQL_RECOVERED'])
    await line.stop()
  }, 40_000)

  test('a logger hears of the end, too', async () => {
    const url = new URL(await postgres.createDatabase())
    const line = await TcpProxy.start(Number(url.port))
    url.port = String(line.port)
    const logger = recordingLogger()
    const queue = new DBWriteQueue(server.url, {
      databaseUrl: url.href,
      queueName: 'logged',
      logger,
    })
    try {
      await queue.migrate()
      line.mode = 'refuse'
      line.reset()
      await queue.queueWrite(crypto.randomUUID(), makeState(), 'event')
      const isTold = () => logger.told.warn.some(({ message }) => /PostgreSQL is un/.test(message))
      await until(isTold)
      line.mode = 'pass'
      await until(() => logger.told.info.length > 0, 30_000)
      expect(logger.told.info[0].message).toMatch(/PostgreSQL is available again/)
    } finally {
      await queue.close(true)
      await line.stop()
    }
  }, 40_000)
})

describe('a logger', () => {
  test.each([
    ['of pino, by info', () => recordingLogger(), 'info'],
    ['without info, by warn', () => ({ ...recordingLogger(), info: undefined }), 'warn'],
  ])('%s, hears when an outage is over', async (_kind, make, level) => {
    const logger = make()
    const manager = new RedisStateManager(proxy.url, null, null, { logger, commandTimeoutMs: 300 })
    const queue = new DBWriteQueue(proxy.url, {
      databaseUrl: 'postgres://nobody@127.0.0.1:1/x',
      logger,
    })
    try {
      manager.subscribeToUpdates(() => {})
      await manager.subscribed()
      await manager.getSession('s')
      const restore = cut()
      await refusalOf(() => manager.getSession('s'))
      await until(() => logger.told.warn.length >= 3, 10_000)
      restore()
      const heard = (words) => logger.told[level].some(({ message }) => words.test(message))
      await until(
        () =>
          heard(/Redis is available again/) && heard(/confirmed again/) && heard(/has Redis again/),
        10_000,
      )
    } finally {
      await manager.close()
      await queue.close(true)
    }
  })

  test('of nobody is needed where a client has a listener', async () => {
    const emitWarning = jest.spyOn(process, 'emitWarning')
    const client = createRedisClient(`redis://127.0.0.1:${await freePort()}`, {
      commandTimeoutMs: 300,
    })
    client.on('error', () => {})
    await refusalOf(() => client.ping())
    client.disconnect()
    expect(emitWarning).not.toHaveBeenCalled()
    emitWarning.mockRestore()
  })
})
