'use strict'

const { ClosedError, RedisStateManager, createRedisClient } = require('..')
const { runScript, startScript } = require('./harness/child.js')
const { TcpProxy } = require('./harness/proxy.js')
const { RedisServer } = require('./harness/redis.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

let server
let redis
let proxy

beforeAll(async () => {
  server = await RedisServer.start()
  redis = server.client()
})
afterAll(() => server.stop())

beforeEach(async () => {
  proxy = await TcpProxy.start(server.port)
})
afterEach(() => proxy.stop())

/** What every script here begins with. */
const PRELUDE = `
  const { createRedisClient, RedisStateManager } = require('./index.js')
  const { makeState } = require('./__test__/harness/sessions.js')
  const url = process.env.REDIS_URL
  const manager = new RedisStateManager(url)
  const tell = (message) => new Promise((told) => process.send(message, told))
`

/** For a script that is about an outage. */
const UNWARNED = `process.removeAllListeners('warning')`

const run = (body, url = server.url, options = {}) =>
  runScript(`${PRELUDE}\n;(async () => {${body}})()`, { env: { REDIS_URL: url }, ...options })

/** The same with an IPC channel that does not keep the script alive. */
function start(body, url = server.url) {
  const source = `${PRELUDE}\nprocess.channel.unref()\n;(async () => {${body}})()`
  const { child, ended } = startScript(source, { env: { REDIS_URL: url }, ipc: true })
  const said = new Set()
  child.on('message', (message) => said.add(message))
  return { child, ended, heard: (message) => until(() => said.has(message)) }
}

/** Ended by itself, well, in silence. */
function expectQuiet({ code, signal, stderr }) {
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
}

const subscribers = async () => Number((await redis.pubsub('NUMSUB', 'session-updates'))[1])

describe('a process ends by itself', () => {
  test('after close()', async () => {
    const ended = await run(`
      manager.subscribeToUpdates(() => {})
      await manager.subscribed()
      const state = makeState()
      await manager.createSession(state)
      await manager.close()
      await manager.close()
      console.log('closed')
    `)
    expectQuiet(ended)
    expect(ended.stdout).toBe('closed\n')
    expect(ended.ms).toBeLessThan(5000)
  })

  test('with an idle manager that nobody closed, used or not', async () => {
    const used = await run(`
      const state = makeState()
      await manager.createSession(state)
      console.log((await manager.getSession(state.session_id)).version)
    `)
    expectQuiet(used)
    expect(used.stdout).toBe('1\n')
    const unused = await run('')
    expectQuiet(unused)
    expect(Math.max(used.ms, unused.ms)).toBeLessThan(5000)
  })

  test('with an idle manager whose server has an address that refuses, besides', async () => {
    const url = server.url.replace('127.0.0.1', 'localhost')
    const ended = await run(
      `
      const dns = require('node:dns')
      const addresses = [{ address: '::1', family: 6 }, { address: '127.0.0.1', family: 4 }]
      let looked = 0
      dns.lookup = (_host, _options, callback) => process.nextTick(callback, null, addresses, ++looked)
      // The last makes a connection; Deno looks up addresses by itself.
      for (let call = 0; call < 100 && looked === 0; call++) await manager.getSession('any')
      `,
      url,
    )
    expectQuiet(ended)
  })

  test('with an idle manager whose Redis has gone since', async () => {
    const script = start(
      `
      ${UNWARNED}
      await manager.getSession('any')
      await tell('used')
      await new Promise((resolve) => setTimeout(resolve, 300))
    `,
      proxy.url,
    )
    await script.heard('used')
    proxy.mode = 'refuse'
    proxy.reset()
    const ended = await script.ended
    expectQuiet(ended)
    expect(ended.ms).toBeLessThan(5000)
  })

  test('not while a call is in flight, which settles before', async () => {
    proxy.mode = 'blackhole'
    const ended = await run(
      `
      const slow = new RedisStateManager(url, null, null, { commandTimeoutMs: 1200 })
      slow.getSession('any').catch((error) => console.log(error.code))
    `,
      proxy.url,
    )
    expectQuiet(ended)
    expect(ended.stdout).toBe('REDIS_UNAVAILABLE\n')
    expect(ended.ms).toBeGreaterThan(1200)
  })

  test('not while a call waits for its turn, which it has before', async () => {
    const ended = await run(`
      await manager.createSession(makeState({ session_id: 'turns' }))
      manager.modifySession('turns', () => new Promise(() => {}))
      manager.modifySession('turns', (state) => ({ ...state, status: 'paused' }))
    `)
    expectQuiet(ended)
    const stored = JSON.parse(await redis.get('session:turns'))
    expect(stored).toMatchObject({ status: 'paused', version: 2 })
  })

  test('after it has rejected a call for every reason, none of them unhandled', async () => {
    const ended = await run(`
      const state = makeState()
      await manager.createSession(state)
      const id = state.session_id
      const codes = await Promise.all([
        manager.getSession(''),
        manager.updateSession('absent', makeState({ session_id: 'absent' }), 1),
        manager.updateSession(id, state, 9),
        manager.createSession(state, { ifAbsent: true }),
        manager.updateSession(id, null),
        manager.broadcastToSession(id, 1n),
      ].map((call) => call.then(() => 'done', (error) => error.code)))
      console.log(codes.join())
    `)
    expectQuiet(ended)
    expect(ended.stdout).toBe(
      'INVALID_STATE,SESSION_NOT_FOUND,CONCURRENT_MODIFICATION,SESSION_EXISTS,INVALID_STATE,INVALID_STATE\n',
    )
  })
})

describe('a subscription keeps the process alive', () => {
  test.each([
    ['it is unsubscribed', 'unsubscribe()'],
    ['its manager is closed', 'manager.close()'],
    ['its client is closed', 'client.quit()'],
  ])('until %s', async (_until, end) => {
    const before = await subscribers()
    const script = start(`
      const client = createRedisClient(url)
      const manager = new RedisStateManager(url, client)
      const unsubscribe = manager.subscribeToUpdates((id) => {
        if (id !== 'end-${end}') return
        process.disconnect()
        ${end}
      })
      await manager.subscribed()
      await tell('subscribed')
    `)
    await script.heard('subscribed')
    // There is nothing else in it that could: a process with nothing to do ends in less.
    const idle = await run('')
    expectQuiet(idle)
    expect(script.child.exitCode).toBeNull()
    expect(await subscribers()).toBe(before + 1)
    await redis.publish(
      'session-updates',
      JSON.stringify({ sessionId: `end-${end}`, deleted: true }),
    )
    expectQuiet(await script.ended)
  })

  test('also while Redis is gone', async () => {
    const script = start(
      `
      ${UNWARNED}
      manager.subscribeToUpdates((id) => id === 'end' && manager.close())
      await manager.subscribed()
      await tell('subscribed')
    `,
      proxy.url,
    )
    await script.heard('subscribed')
    proxy.mode = 'refuse'
    proxy.reset()
    expectQuiet(await run(''))
    expect(script.child.exitCode).toBeNull()
    proxy.mode = 'pass'
    await until(async () => (await subscribers()) === 1)
    await redis.publish('session-updates', JSON.stringify({ sessionId: 'end', deleted: true }))
    expectQuiet(await script.ended)
  })
})

describe('close() ends in 2 s, and settles what is pending', () => {
  const CLOSE = `
    const state = makeState()
    const calls = []
    for (let n = 0; n < 100; n++) {
      calls.push(manager.getSession('any'), manager.createSession(makeState()))
      calls.push(manager.broadcastToSession('any', n))
    }
    const outcomes = Promise.all(calls.map((call) => call.then(() => 'done', (e) => e.code)))
    const started = performance.now()
    await manager.close()
    const took = performance.now() - started
    const codes = [...new Set(await outcomes)].sort()
    const after = await manager.getSession('any').catch((error) => error.code)
    console.log(JSON.stringify({ inTime: took < 2000, codes, after }))
  `
  const close = (before, url) => run(`${before}\n${CLOSE}`, url)

  test('with Redis there: the calls are done', async () => {
    const ended = await close('', server.url)
    expectQuiet(ended)
    expect(JSON.parse(ended.stdout)).toEqual({ inTime: true, codes: ['done'], after: 'CLOSED' })
  })

  test('right after the first call of all, which is done', async () => {
    const ended = await run(
      `
      const state = makeState()
      const created = manager.createSession(state).then(() => 'done', (e) => e.code)
      await manager.close()
      console.log(await created)
    `,
      server.url,
    )
    expectQuiet(ended)
    expect(ended.stdout.trim()).toBe('done')
  })

  test('where there never was a Redis', async () => {
    proxy.mode = 'refuse'
    const ended = await close('manager.subscribeToUpdates(() => {})', proxy.url)
    expectQuiet(ended)
    expect(JSON.parse(ended.stdout)).toEqual({ inTime: true, codes: ['CLOSED'], after: 'CLOSED' })
  })

  test.each([
    ['gone', 'refuse', ['CLOSED', 'OUTCOME_UNKNOWN']],
    ['silent', 'blackhole', ['OUTCOME_UNKNOWN', 'REDIS_UNAVAILABLE']],
  ])('where Redis is %s by then', async (_how, mode, allowed) => {
    const script = start(
      `
      manager.subscribeToUpdates(() => {})
      await manager.subscribed()
      await manager.getSession('any')
      const go = new Promise((resolve) => process.once('message', resolve))
      process.channel.ref()
      await tell('ready')
      await go
      process.channel.unref()
      ${CLOSE}
    `,
      proxy.url,
    )
    await script.heard('ready')
    proxy.mode = mode
    if (mode === 'refuse') proxy.reset()
    script.child.send('go')
    const ended = await script.ended
    expectQuiet(ended)
    const { codes, ...rest } = JSON.parse(ended.stdout)
    expect(rest).toEqual({ inTime: true, after: 'CLOSED' })
    for (const code of codes) expect([...allowed, 'CLOSED', 'REDIS_UNAVAILABLE']).toContain(code)
    expect(codes).not.toContain('done')
  })

  test('where Redis is stopped as a process', async () => {
    const own = await RedisServer.start()
    const script = start(
      `
      await manager.getSession('any')
      const go = new Promise((resolve) => process.once('message', resolve))
      process.channel.ref()
      await tell('ready')
      await go
      process.channel.unref()
      ${CLOSE}
    `,
      own.url,
    )
    await script.heard('ready')
    own.pause()
    script.child.send('go')
    const ended = await script.ended
    await own.stop()
    expectQuiet(ended)
    expect(JSON.parse(ended.stdout)).toMatchObject({ inTime: true, after: 'CLOSED' })
  })
})

describe('process.exit()', () => {
  test.each([
    ['with Redis there', 'pass'],
    ['with Redis silent', 'blackhole'],
    ['with Redis gone', 'refuse'],
  ])('with 1000 calls in flight, %s', async (_how, mode) => {
    proxy.mode = mode
    const exits = Array.from({ length: 3 }, (_, n) =>
      run(
        `
        ${UNWARNED}
        manager.subscribeToUpdates(() => {})
        const calls = []
        for (let n = 0; n < 1000; n++) calls.push(manager.createSession(makeState()))
        if (${n === 1 && mode === 'pass'}) await Promise.race(calls).catch(() => {})
        setTimeout(() => process.exit(0), ${n} * 15)
      `,
        proxy.url,
      ),
    )
    for (const ended of await Promise.all(exits)) {
      expectQuiet(ended)
      expect(ended.ms).toBeLessThan(5000)
    }
  })
})

describe('the owner of a client closes it', () => {
  const methods = (manager, state) => [
    manager.getSession(state.session_id),
    manager.getSessions([state.session_id]),
    manager.createSession(state),
    manager.updateSession(state.session_id, state),
    manager.modifySession(state.session_id, (current) => current),
    manager.deleteSession(state.session_id),
    manager.touchSession(state.session_id),
    manager.broadcastToSession(state.session_id, 1),
  ]

  test.each([
    ['of commands', ['redis']],
    ['both', ['redis', 'pubSub']],
  ])('%s: every call rejects with ClosedError, and close() resolves', async (_which, which) => {
    const clients = { redis: createRedisClient(server.url), pubSub: createRedisClient(server.url) }
    const manager = new RedisStateManager(clients.redis, clients.pubSub)
    const state = makeState()
    await manager.createSession(state)
    await Promise.all(which.map((name) => clients[name].quit()))
    const settled = await Promise.allSettled(methods(manager, state))
    await manager.close()
    expect(settled).toEqual(
      methods(manager, state).map((call) => {
        call.catch(() => {})
        return { status: 'rejected', reason: expect.any(ClosedError) }
      }),
    )
  })

  test('the process ends then, with a call made after it', async () => {
    const ended = await run(
      `
      const client = createRedisClient(url)
      const subscriber = createRedisClient(url)
      const manager2 = new RedisStateManager(client, subscriber)
      await manager.close()
      await manager2.getSession('any')
      await client.quit()
      await subscriber.quit()
      console.log(await manager2.getSession('any').catch((error) => error.code))
      await manager2.subscribed().catch((error) => console.log(error.code))
    `,
      server.url,
      { timeoutMs: 8000 },
    )
    expectQuiet(ended)
    expect(ended.stdout).toBe('CLOSED\nCLOSED\n')
  })
})

describe('worker threads', () => {
  const worker = (body) => `
    const { Worker } = require('node:worker_threads')
    const source = ${JSON.stringify(body)}
    const spawn = () => new Worker(source, { eval: true, workerData: url })
  `
  const IN_FLIGHT = `
    const { parentPort, workerData } = require('node:worker_threads')
    const { RedisStateManager } = require('./index.js')
    const { makeState } = require('./__test__/harness/sessions.js')
    const manager = new RedisStateManager(workerData)
    manager.subscribeToUpdates(() => {})
    for (let n = 0; n < 100; n++) manager.createSession(makeState()).catch(() => {})
  `

  test.each([
    ['terminated', `${IN_FLIGHT}; parentPort.postMessage('busy')`],
    ['exiting', `${IN_FLIGHT}; setTimeout(() => process.exit(0), 5)`],
  ])(
    '20 of them, %s with calls in flight, harm nobody',
    async (how, body) => {
      const source = `
      ${worker(body)}
      for (let n = 0; n < 20; n++) {
        const worker = spawn()
        const exited = new Promise((resolve) => worker.once('exit', resolve))
        if ('${how}' === 'terminated') {
          await new Promise((resolve) => worker.once('message', resolve))
          await new Promise((resolve) => setTimeout(resolve, n % 5))
          await worker.terminate()
        }
        await exited
      }
      console.log(await manager.getSession('any'))
      await manager.close()
    `
      // Some runtimes take half a second to start a thread.
      const ended = await run(source, server.url, { timeoutMs: 60_000 })
      expectQuiet(ended)
      expect(ended.stdout).toBe('null\n')
    },
    60_000,
  )

  test('a worker ends by itself after close(), and with an idle manager', async () => {
    const body = `
      const { parentPort, workerData } = require('node:worker_threads')
      const { RedisStateManager } = require('./index.js')
      const manager = new RedisStateManager(workerData)
      const idle = new RedisStateManager(workerData)
      Promise.all([manager.getSession('any'), idle.getSession('any')])
        .then(() => manager.close())
        .then(() => parentPort.postMessage('closed'))
    `
    const ended = await run(`
      ${worker(body)}
      const workers = [spawn(), spawn()]
      const codes = await Promise.all(
        workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve))),
      )
      console.log(codes.join())
    `)
    expectQuiet(ended)
    expect(ended.stdout).toBe('0,0\n')
  })
})
