'use strict'

const { ClosedError, DBWriteQueue, createRedisClient } = require('..')
const { Audit, callOf, running } = require('./harness/audit.js')
const { startScript } = require('./harness/child.js')
const { until } = require('./harness/until.js')

const audit = Audit.use()

/** What every script here begins with. The channel to it keeps it alive only while it says so. */
const PRELUDE = `
  const { DBWriteQueue, RedisStateManager } = require('./index.js')
  const { makeState } = require('./__test__/harness/sessions.js')
  const running = () =>
    makeState({ status: 'running', created_at: new Date(), updated_at: new Date() })
  const url = process.env.REDIS_URL
  const { queueName, databaseUrl } = process.env
  const open = (options) =>
    new DBWriteQueue(url, { queueName, databaseUrl, backoffDelay: 100, ...options })
  const tell = (message) => new Promise((told) => process.send(message, told))
  const ms = async (promise) => {
    const started = performance.now()
    await promise
    return performance.now() - started
  }
  /** Until the test says so. */
  const go = () => new Promise((resolve) => {
    process.channel.ref()
    process.once('message', () => {
      process.channel.unref()
      resolve()
    })
  })
  process.channel.unref()
  process.removeAllListeners('warning') // Of outages: outage-warnings.test.js.
`

function start(body, { redis = audit.server, postgres } = {}) {
  const { queueName } = audit
  const databaseUrl = postgres?.url ?? audit.databaseUrl
  const env = { REDIS_URL: redis.url, queueName, databaseUrl }
  const { child, ended } = startScript(`${PRELUDE}\n;(async () => {${body}})()`, { env, ipc: true })
  audit.keep({ close: () => child.kill('SIGKILL') })
  const said = []
  child.on('message', (message) => said.push(message))
  return { child, ended, heard: (message) => until(() => said.includes(message)) }
}

/** Ended by itself, well, in silence. What it printed. */
function quiet({ code, signal, stdout, stderr }) {
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
  return stdout
}

beforeEach(async () => {
  const queue = audit.queue({ worker: false })
  await queue.migrate()
  await queue.close()
})

describe('a process', () => {
  test('whose queue has a worker stays alive until close(), and then ends by itself', async () => {
    const script = start(`
      const queue = open()
      await queue.queueWrite('session', running(), 'first')
      await queue.drained()
      process.once('message', () => queue.close())
      await tell('idle')
    `)
    await script.heard('idle')
    // What would end by itself does so in less.
    quiet(await start('await open({ worker: false }).getMetrics()').ended)
    await audit.queue({ worker: false }).queueWrite('session', running(), 'second')
    await until(async () => (await audit.events()).length === 2)
    expect(script.child.exitCode).toBeNull()
    script.child.send('close')
    quiet(await script.ended)
    expect(await audit.pending()).toBe(0)
  })

  test('whose queue has none ends by itself, but not while a call is in flight', async () => {
    const proxy = await audit.redisProxy()
    const used = start(`
      const queue = open({ worker: false })
      const manager = new RedisStateManager(url, null, queue)
      await manager.createSession(running())
      queue.queueWrite('session', running(), 'last').then(() => console.log('queued'))
    `)
    const held = proxy.hold('in flight')
    const waiting = start(
      `
      const queue = open({ worker: false })
      queue.queueWrite('session', running(), 'in flight').then(() => console.log('queued'))
    `,
      { redis: proxy },
    )
    expect(quiet(await used.ended)).toBe('queued\n')
    const { release } = await held
    quiet(await start('open({ worker: false })').ended)
    expect(waiting.child.exitCode).toBeNull()
    release()
    expect(quiet(await waiting.ended)).toBe('queued\n')
    expect(await audit.left()).toBe(3)
  })

  test('that closes under load, gracefully or not, ends at once and in silence', async () => {
    const close = (force) => `
      const queue = open()
      const manager = new RedisStateManager(url, null, queue)
      const outcomes = new Set()
      let over = false
      const told = (promise) => promise.then(() => 'done', (error) => error.code)
      const traffic = Array.from({ length: 8 }, async () => {
        while (!over) {
          outcomes.add(await told(manager.createSession(running())))
          outcomes.add(await told(queue.queueWrite('session', running(), 'event')))
        }
      })
      await new Promise((resolve) => queue.once('completed', resolve))
      const took = await ms(queue.close(${force}))
      over = true
      await Promise.all(traffic)
      outcomes.add(await told(queue.queueWrite('session', running(), 'event')))
      await manager.close()
      console.log(JSON.stringify({ slow: took > 2500, outcomes: [...outcomes].sort() }))
    `
    for (const force of [false, true]) {
      const stdout = quiet(await start(close(force)).ended)
      expect(JSON.parse(stdout)).toEqual({ slow: false, outcomes: ['CLOSED', 'done'] })
    }
  })

  test('that exits with calls and records in flight does not crash', async () => {
    const exits = [0, 5, 15, 40, 80].map((delay) =>
      start(`
        const queue = open({ batchSize: 50 })
        const manager = new RedisStateManager(url, null, queue)
        for (const name of ['active', 'completed', 'retrying', 'drained']) queue.on(name, () => {})
        for (let n = 0; n < 500; n++) {
          queue.queueWrite('session', running(), 'event').catch(() => {})
          manager.createSession(running()).catch(() => {})
        }
        queue.getMetrics().catch(() => {})
        setTimeout(() => process.exit(0), ${delay})
      `),
    )
    for (const { ended } of exits) quiet(await ended)
  })

  test('keeps no record that waits in Redis', async () => {
    const postgres = await audit.postgresProxy()
    postgres.mode = 'refuse'
    const script = start(
      `
      const queue = open()
      const state = { ...running(), notes: 'x'.repeat(4000) }
      const write = async (count) => {
        for (let n = 0; n < count; n += 100) {
          await Promise.all(Array.from({ length: 100 }, () => queue.queueWrite('s', state, 'e')))
        }
        return process.memoryUsage().rss / 2 ** 20
      }
      const before = await write(8000)
      const after = await write(20_000)
      console.log(JSON.stringify([after - before, (await queue.getMetrics()).completed]))
      await queue.close(true)
    `,
      { postgres },
    )
    const [growth, completed] = JSON.parse(quiet(await script.ended))
    expect(completed).toBe(0)
    expect(await audit.left()).toBe(28_000)
    expect(growth).toBeLessThan(25) // MB. The records that came meanwhile are 95.
  })
})

describe('close() and close(true) return in time, twice', () => {
  /** In all orders. */
  const queues = 3
  const CLOSE = `
    const queues = [open(), open(), open()]
    await Promise.all(queues.map((queue) => queue.getMetrics()))
    await tell('ready')
    await go()
    const [one, two, three] = queues
    const both = async (queue, ...how) => {
      const first = ms(queue.close(how[0]))
      return [await first, await ms(queue.close(how[1]))]
    }
    console.log(JSON.stringify({
      force: await both(one, true, true),
      forceAfterwards: await Promise.all([ms(two.close()), ms(two.close(true))]),
      graceful: await both(three, false, false),
    }))
  `

  /** How long each took, with records in the workers' hands. */
  async function closings(proxies, happens) {
    const unlock = await audit.lockEvents()
    const script = start(CLOSE, proxies)
    await script.heard('ready')
    const writer = audit.queue({ worker: false })
    await until(async () => (await audit.workers()) === queues)
    const waiting = () =>
      audit.rows(`SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1`, [
        new URL(audit.databaseUrl).pathname.slice(1),
      ])
    await until(async () => {
      if ((await waiting()).length === 2 * queues) return true
      await writer.queueWrite('session', running(), 'event')
      return false
    })
    await happens()
    script.child.send('go')
    const took = JSON.parse(quiet(await script.ended))
    await unlock()
    for (const ms of [...took.force, ...took.forceAfterwards]) expect(ms).toBeLessThan(3000)
    for (const ms of took.graceful) expect(ms).toBeLessThan(11_500)
    expect(took.graceful[1]).toBeLessThan(50)
    return took
  }

  const down = (proxy) => {
    proxy.mode = 'refuse'
    proxy.reset()
  }
  const silent = (proxy) => {
    proxy.mode = 'blackhole'
  }

  test.each([
    ['Redis is gone', 'redis', down],
    ['Redis is silent', 'redis', silent],
    ['PostgreSQL is gone', 'postgres', down],
    ['PostgreSQL is silent', 'postgres', silent],
  ])('%s', async (_what, where, how) => {
    const proxies = { redis: await audit.redisProxy(), postgres: await audit.postgresProxy() }
    await closings(proxies, () => how(proxies[where]))
  })

  test('both are gone, from the beginning', async () => {
    const proxies = { redis: await audit.redisProxy(), postgres: await audit.postgresProxy() }
    for (const proxy of Object.values(proxies)) proxy.mode = 'refuse'
    const script = start(
      `
      const queue = open()
      const writes = [1, 2, 3].map((n) => queue.queueWrite('session', running(), 'event'))
      const outcomes = Promise.all(writes.map((write) => write.catch((error) => error.code)))
      const took = await Promise.all([ms(queue.close()), ms(queue.close(true))])
      console.log(JSON.stringify({ slow: Math.max(...took) > 3000, outcomes: await outcomes }))
    `,
      proxies,
    )
    const outcomes = ['CLOSED', 'CLOSED', 'CLOSED']
    expect(JSON.parse(quiet(await script.ended))).toEqual({ slow: false, outcomes })
  })

  test('a forced one does not wait for Redis to answer, whatever it was asked', async () => {
    const proxy = await audit.redisProxy()
    const settling = proxy.hold(callOf('settle'))
    const queue = audit.queue({ url: proxy.url })
    await audit.queue({ worker: false }).queueWrite('session', running(), 'event')
    await settling
    const started = performance.now()
    await queue.close(true)
    expect(performance.now() - started).toBeLessThan(2500)
  })
})

describe('the owner', () => {
  test('of the client ends the queue with it', async () => {
    const client = createRedisClient(audit.server.url)
    const { queueName, databaseUrl } = audit
    const queue = audit.keep(new DBWriteQueue(client, { queueName, databaseUrl }))
    await queue.queueWrite('session', running(), 'event')
    await queue.drained()
    await client.quit()
    // Nobody asks for records any more, and nobody holds on to PostgreSQL.
    await until(async () => !(await audit.redis.client('LIST')).includes('cmd=xreadgroup'))
    const sql = 'SELECT FROM pg_stat_activity WHERE datname = $1 AND application_name = $2'
    const name = new URL(databaseUrl).pathname.slice(1)
    await until(async () => (await audit.rows(sql, [name, 'synckairos-state'])).length === 0)
    await expect(queue.getMetrics()).rejects.toBeInstanceOf(ClosedError)
    await queue.close()
  })

  test('of the client ends it from quit() on, but for what is in flight', async () => {
    const client = createRedisClient(audit.server.url)
    const { queueName, databaseUrl } = audit
    const queue = audit.keep(new DBWriteQueue(client, { queueName, databaseUrl, worker: false }))
    await client.ping()
    const writing = queue.queueWrite('session', running(), 'event')
    const quitting = client.quit()
    const late = new DBWriteQueue(client, { queueName, databaseUrl, worker: false })
    for (const one of [queue, late]) {
      await expect(one.queueWrite('session', running(), 'late')).rejects.toThrow(ClosedError)
      await expect(one.migrate()).rejects.toThrow(ClosedError)
    }
    await writing
    await quitting
    expect(await audit.left()).toBe(1)
    await Promise.all([queue.close(), late.close()])
  })

  test('disposes of it', async () => {
    const queue = audit.queue()
    await queue[Symbol.asyncDispose]()
    await expect(queue.getMetrics()).rejects.toBeInstanceOf(ClosedError)
  })

  // Node 20 and 22 do not know the syntax.
  const using = parses('async () => { await using a = b }') ? test : test.skip
  using('disposes of it with `await using`', async () => {
    const script = start(`
      {
        await using queue = open()
        await queue.queueWrite('session', running(), 'event')
      }
      console.log('closed')
    `)
    expect(quiet(await script.ended)).toBe('closed\n')
  })
})

function parses(source) {
  try {
    new Function(source)
    return true
  } catch {
    return false
  }
}
