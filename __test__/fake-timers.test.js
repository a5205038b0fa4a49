'use strict'

const { runScript } = require('./harness/child.js')
const { RedisServer } = require('./harness/redis.js')

let server

beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server.stop())

/** How a test stops the time, before it loads anything. */
const FAKES = [
  ['@sinonjs/fake-timers', `require('@sinonjs/fake-timers').install()`],
  [
    'node:test',
    `require('node:test').mock.timers.enable({ apis: ['setInterval', 'setTimeout', 'setImmediate'] })`,
  ],
]

describe.each(FAKES)('in a process whose timers are those of %s', (_name, fake) => {
  /** The output of a script that never sees a timer. */
  async function outputOf(body) {
    const source = `
      const { Redis } = require('ioredis')
      const { makeState } = require('./__test__/harness/sessions.js')
      process.removeAllListeners('warning') // That what node:test has is experimental.
      ${fake}
      const { DBWriteQueue, RedisClient, RedisStateManager } = require('.')
      const url = process.env.REDIS_URL
      const nameOf = (promise) => promise.then(() => 'done', (error) => error.name)
      ;(async () => {
        ${body}
        process.exit()
      })()
    `
    const ended = await runScript(source, { env: { REDIS_URL: server.url } })
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    return ended.stdout.trim()
  }

  test.each([
    ['without a cache', '{}'],
    ['with a cache', '{ cache: { maxSessions: 10 } }'],
  ])('every call ends, %s', async (_how, options) => {
    const output = await outputOf(`
      const manager = new RedisStateManager(url, undefined, undefined, ${options})
      const state = makeState()
      const id = state.session_id
      await manager.createSession(state)
      for (let version = 1; version <= 40; version++) {
        await manager.updateSession(id, state, version)
        await manager.getSession(id)
        await manager.broadcastToSession(id, version)
      }
      const reads = Array.from({ length: 3000 }, () => manager.getSession(id))
      await Promise.all(reads)
      await manager.getSessions([id])
      await manager.deleteSession(id)
      await manager.close()
      console.log('done')
    `)
    expect(output).toBe('done')
  })

  test('deadlines are kept', async () => {
    const output = await outputOf(`
      const options = { commandTimeoutMs: 300 }
      const manager = new RedisStateManager('redis://127.0.0.1:1', undefined, undefined, options)
      manager.subscribeToUpdates(() => {})
      console.log(await nameOf(manager.getSession('any')))
      console.log(await nameOf(manager.subscribed()))
    `)
    expect(output).toBe('RedisUnavailableError\nRedisUnavailableError')
  })

  test('calls are counted, and how long they took', async () => {
    const output = await outputOf(`
      const options = { commandTimeoutMs: 300 }
      const manager = new RedisStateManager('redis://127.0.0.1:1', undefined, undefined, options)
      await nameOf(manager.getSession('any'))
      const { calls, durations } = manager.metrics()
      const { sum } = durations.getSession
      console.log(JSON.stringify(calls.getSession), sum > 0.25 && sum < 30)
    `)
    expect(output).toBe('{"ok":0,"REDIS_UNAVAILABLE":1} true')
  })

  test('drained() ends', async () => {
    const output = await outputOf(`
      const queue = new DBWriteQueue(url, { databaseUrl: 'postgres://127.0.0.1:1/none', worker: false })
      await queue.queueWrite('s', makeState({ session_id: 's' }), 'custom')
      const drained = queue.drained()
      await queue.getMetrics()
      await new RedisClient(url).call('FLUSHALL')
      console.log(await nameOf(drained))
    `)
    expect(output).toBe('done')
  })

  test('close() ends with an instance of another library that does not', async () => {
    const output = await outputOf(`
      require('node:net').createServer().listen(0) // Keeps the process alive.
      const instance = new Redis(url, { lazyConnect: true })
      instance.status = 'ready'
      instance.quit = () => new Promise(() => {})
      instance.disconnect = () => {}
      const manager = new RedisStateManager(instance)
      await manager.getSession('any')
      console.log(await nameOf(manager.close()))
    `)
    expect(output).toBe('done')
  })
})
