'use strict'

// What is special to `memory:`. That managers and queues behave as on a Redis, the tests of the
// contract show, which run on both.

const { once } = require('node:events')
const { inspect } = require('node:util')
const { Worker } = require('node:worker_threads')
const { RedisStore: SessionStore } = require('connect-redis')
const {
  ClosedError,
  DBWriteQueue,
  InvalidStateError,
  OverloadedError,
  RedisClient,
  RedisStateManager,
  createRedisClient,
  createRedisPubSubClient,
} = require('..')
const { runScript } = require('./harness/child.js')
const { Managers } = require('./harness/managers.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { refusalOf, thrownBy } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const open = new Managers()
afterEach(() => open.close())

let names = 0
/** The URL of a store that no other test uses. */
const aStore = () => `memory://memory-test-${++names}`

const manager = (url, options) => open.open(url, options)
const queue = (url, options) => open.keep(new DBWriteQueue(url, { worker: false, ...options }))

describe('a URL', () => {
  test.each(['memory:', 'memory://', 'MEMORY:', 'memory://a', 'memory://a.b-c_1', 'memory:?keep'])(
    '%s names a store',
    async (url) => {
      const sessions = manager(url.replace('?keep', ''))
      const state = makeState()
      await sessions.createSession(state)
      expect(await sessions.getSession(state.session_id)).toMatchObject({ version: 1 })
      await sessions.deleteSession(state.session_id)
    },
  )

  test.each([
    ['memory:a', 'it has a path'],
    ['memory:///a', 'it has a path'],
    ['memory://a/0', 'it has a path'],
    ['memory://user:hunter2@a', 'it has a user or a password'],
    ['memory://a:6379', 'it has a port'],
    ['memory://a#hunter2', 'it has a fragment'],
    ['memory://hunter$2', 'its name has other characters than'],
    ['memory://a?db=1', 'its query sets db'],
    ['memory://a?keyPrefix=hunter2', 'its query sets keyPrefix'],
    ['memory://a?hunter2', 'its query sets what a store does not have'],
    ['memory://a?keep=no', 'its keep has a value'],
    ['memory://[', 'it cannot be read'],
  ])('%s is refused, and no part of it repeated', (url, reason) => {
    for (const make of [
      () => new RedisStateManager(url),
      () => new RedisStateManager('memory:', url),
      () => new DBWriteQueue(url),
      () => createRedisClient(url),
    ]) {
      const error = thrownBy(make)
      expect(error).toBeInstanceOf(InvalidStateError)
      expect(error.message).toContain(reason)
      expect(error.message).toContain('expected memory:, memory://name or memory://name?keep')
      expect(error.message).not.toContain('hunter')
    }
  })

  test('a URL of no known protocol is refused with memory: among what is expected', () => {
    expect(thrownBy(() => createRedisClient('http://localhost')).message).toContain('memory:')
  })

  test.each([createRedisClient, createRedisPubSubClient])(
    'REDIS_URL may be one, for %p',
    async (make) => {
      const before = process.env.REDIS_URL
      try {
        process.env.REDIS_URL = aStore()
        const client = open.keep(make())
        expect(inspect(client)).toContain(process.env.REDIS_URL)
        expect(await client.ping()).toBe('PONG')
      } finally {
        if (before === undefined) delete process.env.REDIS_URL
        else process.env.REDIS_URL = before
      }
    },
  )
})

describe('a store', () => {
  test('is shared by all managers and queues with its URL', async () => {
    const url = aStore()
    const [one, two] = [manager(url, { queue: queue(url) }), manager(url)]
    const state = makeState()
    const heard = []
    two.subscribeToUpdates((id, session) => heard.push([id, session?.version]))
    await two.subscribed()
    await one.createSession(state)
    await two.updateSession(state.session_id, state, 1)
    expect(await one.getSession(state.session_id)).toMatchObject({ version: 2 })
    expect(await queue(url).getMetrics()).toMatchObject({ waiting: 1 })
    await until(() => heard.length === 2)
    expect(heard).toEqual([
      [state.session_id, 1],
      [state.session_id, 2],
    ])
  })

  test('is apart from one with another name', async () => {
    const state = makeState()
    await manager(aStore()).createSession(state)
    expect(await manager(aStore()).getSession(state.session_id)).toBeNull()
    expect(await manager('memory:').getSession(state.session_id)).toBeNull()
  })

  test('is shared with worker threads', async () => {
    const url = aStore()
    const sessions = manager(url)
    const state = makeState()
    await sessions.createSession(state)
    const heard = []
    sessions.subscribeToUpdates((_id, session) => heard.push(session?.status))
    await sessions.subscribed()
    const source = `
      const { parentPort, workerData } = require('node:worker_threads')
      const { RedisStateManager } = require(workerData.module)
      const manager = new RedisStateManager(workerData.url)
      manager.modifySession(workerData.id, (state) => ({ ...state, status: 'running' }))
        .then(({ version }) => parentPort.postMessage(version))
        .finally(() => manager.close())
    `
    const workerData = { module: require.resolve('..'), url, id: state.session_id }
    const worker = new Worker(source, { eval: true, workerData })
    const [[version]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')])
    expect(version).toBe(2)
    expect(await sessions.getSession(state.session_id)).toMatchObject({ status: 'running' })
    await until(() => heard.length === 1)
    expect(heard).toEqual(['running'])
  })

  test('ends with the last that uses it', async () => {
    const url = aStore()
    const state = makeState()
    const [one, two] = [new RedisStateManager(url), new RedisStateManager(url)]
    await one.createSession(state)
    await one.close()
    expect(await two.getSession(state.session_id)).not.toBeNull()
    await two.close()
    expect(await manager(url).getSession(state.session_id)).toBeNull()
  })

  test('outlives them with ?keep', async () => {
    const url = aStore()
    const state = makeState()
    const kept = new RedisStateManager(`${url}?keep`)
    await kept.createSession(state)
    await kept.close()
    const again = manager(url)
    expect(await again.getSession(state.session_id)).not.toBeNull()
    await again.deleteSession(state.session_id)
  })

  test('calls back after the call that it is about, never during it', async () => {
    const sessions = manager(aStore())
    const state = makeState()
    const order = []
    sessions.subscribeToUpdates(() => order.push('callback'))
    await sessions.subscribed()
    const created = sessions.createSession(state)
    order.push('called')
    await created
    await until(() => order.length === 2)
    expect(order).toEqual(['called', 'callback'])
  })

  test('has what a cache would have: the option changes nothing', async () => {
    const url = aStore()
    const logger = recordingLogger()
    const [cached, other] = [manager(url, { cache: { maxSessions: 10 }, logger }), manager(url)]
    const state = makeState()
    await cached.createSession(state)
    await cached.getSession(state.session_id)
    await other.updateSession(state.session_id, state, 1)
    expect(await cached.getSession(state.session_id)).toMatchObject({ version: 2 })
    expect(logger.entries).toEqual([])
  })

  test('is named by errors, and by what is shown', async () => {
    const url = aStore()
    const sessions = manager(url, { maxInFlight: 1 })
    const [, error] = await Promise.all([
      sessions.getSession('a'),
      refusalOf(() => sessions.getSession('a')),
    ])
    expect(error).toBeInstanceOf(OverloadedError)
    expect(error.message).toContain(`${url}: `)
    for (const one of [sessions, queue(url)]) expect(inspect(one)).toContain(`server: '${url}'`)
    expect(inspect(manager('memory:'))).toContain("server: 'memory:'")
  })
})

describe('a client', () => {
  test.each([
    ['call', (client) => client.call('GET', 'a')],
    ['callBuffer', (client) => client.callBuffer('GET', 'a')],
    ['a command', (client) => client.get('a')],
    ['a command for buffers', (client) => client.getBuffer('a')],
    ['ping with a message', (client) => client.ping('hello')],
    ['a pipeline', (client) => client.pipeline().set('a', 1).get('a').exec()],
    ['a transaction', (client) => client.multi().incr('a').exec()],
    ['subscribe', (client) => client.subscribe('news')],
    ['psubscribe', (client) => client.psubscribe('news:*')],
    ['select', (client) => client.select(1)],
    [
      'a stream',
      async (client) => {
        for await (const keys of client.scanStream()) throw new Error(`found ${keys}`)
      },
    ],
    [
      'a script',
      (client) => {
        client.defineCommand('double', { numberOfKeys: 1, lua: 'return 1' })
        return client.double('a')
      },
    ],
  ])('refuses %s, and says why and what to do', async (_what, run) => {
    const error = await refusalOf(() => run(open.keep(createRedisClient(aStore()))))
    expect(error).toBeInstanceOf(InvalidStateError)
    expect(error).toMatchObject({ code: 'INVALID_STATE', field: 'command' })
    expect(error.message).toContain('memory: keeps sessions and audit records only')
    expect(error.message).toContain('use a client of a Redis server')
  })

  test('refuses a command to its callback, too', async () => {
    const client = open.keep(createRedisClient(aStore()))
    const error = await new Promise((resolve) => client.get('a', resolve))
    expect(error).toBeInstanceOf(InvalidStateError)
  })

  test('refuses a library at its first command', async () => {
    const store = new SessionStore({ client: open.keep(createRedisClient(aStore())) })
    const error = await new Promise((resolve) => store.get('a', resolve))
    expect(error).toBeInstanceOf(InvalidStateError)
  })

  test('connects, answers, tells of it, and ends', async () => {
    const client = createRedisClient(aStore())
    const events = []
    for (const event of ['connect', 'ready', 'reconnecting', 'error', 'close', 'end']) {
      client.on(event, () => events.push(event))
    }
    await client.connect()
    expect(client.status).toBe('ready')
    expect(await client.ping()).toBe('PONG')
    expect(await client.quit()).toBe('OK')
    expect(client.status).toBe('end')
    expect(events).toEqual(['connect', 'ready', 'close', 'end'])
    await expect(client.ping()).rejects.toThrow(ClosedError)
    await expect(client.get('a')).rejects.toThrow(ClosedError)
  })

  test('ends at once when it is asked to', async () => {
    const client = createRedisClient(aStore())
    await client.ping()
    const ended = once(client, 'end')
    client.disconnect()
    await ended
    expect(client.status).toBe('end')
  })

  test('has no address', () => {
    const { commandTimeoutMs, ...options } = open.keep(createRedisClient(aStore())).options
    expect(commandTimeoutMs).toBe(5000)
    expect(options).toMatchObject({ db: 0, username: null })
    for (const name of ['host', 'port', 'path', 'tls', 'memory'])
      expect(options).not.toHaveProperty(name)
  })

  test('has duplicates on the same store, with options of their own and no other settings', async () => {
    const url = aStore()
    const client = open.keep(createRedisClient(url))
    const duplicate = open.keep(client.duplicate({ commandTimeoutMs: 100 }))
    expect(duplicate.options.commandTimeoutMs).toBe(100)
    const state = makeState()
    await manager(url).createSession(state)
    expect(await manager(duplicate).getSession(state.session_id)).not.toBeNull()
    for (const setting of ['db', 'host', 'password']) {
      const error = thrownBy(() => client.duplicate({ [setting]: 1 }))
      expect(error).toMatchObject({ code: 'INVALID_STATE', field: `redis.${setting}` })
    }
  })

  test('that its owner ends ends the manager that uses it', async () => {
    const client = new RedisClient(aStore())
    const sessions = manager(client)
    await client.quit()
    await expect(sessions.getSession('a')).rejects.toThrow(ClosedError)
  })
})

describe('a process', () => {
  const PRELUDE = `
    const { DBWriteQueue, RedisStateManager } = require('.')
    const { makeState } = require('./__test__/harness/sessions.js')
    const state = makeState()
  `

  test('ends by itself when a manager, a client and a queue without a worker are idle', async () => {
    const ended = await runScript(`${PRELUDE}
      const queue = new DBWriteQueue('memory:', { worker: false })
      const manager = new RedisStateManager('memory:', null, queue)
      manager.createSession(state).then(() => console.log('created'))
    `)
    expect(ended).toMatchObject({ code: 0, stdout: 'created\n', stderr: '' })
  })

  test('stays alive for a subscription, until that ends', async () => {
    const ended = await runScript(`${PRELUDE}
      const manager = new RedisStateManager('memory:')
      const end = manager.subscribeToUpdates((_id, session) => {
        console.log(session.version)
        end()
      })
      const other = new RedisStateManager('memory:')
      manager.subscribed().then(() => setTimeout(() => other.createSession(state), 50).unref())
    `)
    expect(ended).toMatchObject({ code: 0, stdout: '1\n', stderr: '' })
  })

  test('is warned once in production', async () => {
    const source = `${PRELUDE}
      process.on('warning', ({ code, message }) => console.log(code, message))
      new RedisStateManager('memory:')
      new RedisStateManager('memory://other')
      new DBWriteQueue('memory:', { worker: false })
    `
    const production = await runScript(source, { env: { NODE_ENV: 'production' } })
    expect(production).toMatchObject({ code: 0 })
    const [line, ...others] = production.stdout.trim().split('\n')
    expect(line).toMatch(/^SYNCKAIROS_MEMORY_IN_PRODUCTION .*lost when this one ends.*Redis server/)
    expect(others).toEqual([])
    expect((await runScript(source)).stdout).toBe('')
  })

  test.each([
    ['a manager', "new RedisStateManager('memory:')"],
    ['a queue', "new DBWriteQueue('memory:', { worker: false })"],
  ])('is warned in production of %s alone', async (_what, making) => {
    const source = `${PRELUDE}
      process.on('warning', ({ code }) => console.log(code))
      ${making}
    `
    const ended = await runScript(source, { env: { NODE_ENV: 'production' } })
    expect(ended).toMatchObject({ code: 0, stdout: 'SYNCKAIROS_MEMORY_IN_PRODUCTION\n' })
  })

  test('is not warned in production where a logger is', async () => {
    const source = `${PRELUDE}
      const logger = { warn: (_fields, message) => console.log(message), error() {} }
      new DBWriteQueue('memory:', { worker: false, logger })
      new RedisStateManager('memory:', null, null, { logger })
      new RedisStateManager('memory:')
    `
    const ended = await runScript(source, { env: { NODE_ENV: 'production' } })
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    const [line, ...others] = ended.stdout.trim().split('\n')
    expect(line).toMatch(/^NODE_ENV is production/)
    expect(others).toEqual([])
  })
})

describe('records that wait when a store ends with its last user', () => {
  const ending = (steps) =>
    runScript(`
      const { DBWriteQueue, RedisStateManager } = require('.')
      process.on('warning', ({ code, message }) => console.log(code, message))
      async function main() { ${steps} }
      main()
    `)

  test('are lost, and the process is told how many', async () => {
    const { stdout } = await ending(`
      const queue = new DBWriteQueue('memory:', { worker: false })
      await queue.queueWrite('a', null, 'e')
      await queue.queueWrite('b', null, 'e')
      await queue.close()
    `)
    expect(stdout).toMatch(
      /^SYNCKAIROS_RECORDS_LOST memory: has ended .* 2 audit records .*drained/,
    )
  })

  test.each([
    ['others use the store', "new RedisStateManager('memory:')", 'memory:'],
    ['the store is kept', '', 'memory://kept?keep'],
  ])('are there still if %s', async (_what, making, url) => {
    const { stdout } = await ending(`
      ${making}
      const queue = new DBWriteQueue('${url}', { worker: false })
      await queue.queueWrite('a', null, 'e')
      await queue.close()
      const other = new DBWriteQueue('${url.replace('?keep', '')}', { worker: false })
      console.log((await other.getMetrics()).waiting)
    `)
    expect(stdout).toBe('1\n')
  })
})
