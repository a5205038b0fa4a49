'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { Audit, running } = require('./harness/audit.js')
const { CallableProcess } = require('./harness/callable-process.js')
const { sleep, until } = require('./harness/until.js')

const audit = Audit.use()

const MB = 1 << 20

/** The largest resident set of a process so far, and now, in bytes. */
const MEMORY = `
  calls.peak = () => process.resourceUsage().maxRSS * 1024
`

/** A state whose JSON has about so many bytes. */
const stateOf = (bytes) => running({ own: 'x'.repeat(bytes - 1500) })

test('a worker that comes to large records after small ones holds a batch of bytes, not of records', async () => {
  const writer = audit.queue({ worker: false })
  await writer.migrate()
  const large = stateOf(0.9 * MB)
  await Promise.all(Array.from({ length: 2000 }, () => writer.queueWrite('small', running(), 'x')))
  for (let n = 0; n < 160; n++) await writer.queueWrite('large', large, 'x')
  const worker = audit.keep(
    new CallableProcess(
      `${MEMORY}
      const { DBWriteQueue } = require('./index.js')
      const before = calls.peak()
      calls.grown = () => calls.peak() - before
      new DBWriteQueue(process.env.REDIS_URL, JSON.parse(process.env.OPTIONS))`,
      {
        REDIS_URL: audit.server.url,
        OPTIONS: JSON.stringify({ databaseUrl: audit.databaseUrl, queueName: audit.queueName }),
      },
    ),
  )
  await until(async () => (await audit.left()) === 0, 60_000)
  // 8 MB a batch, and a portion of 16 records more, in both of its batches, read and sent.
  expect(await worker.call('grown')).toBeLessThan(140 * MB)
}, 90_000)

test('records that wait for another try are bounded in bytes', async () => {
  const writer = audit.queue({ worker: false })
  await writer.migrate()
  await audit.rows(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NEW.event_type = 'refused' THEN RAISE EXCEPTION 'refused'; END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON sync_events FOR EACH ROW EXECUTE FUNCTION refuse()`)
  const state = stateOf(100 * 1024)
  for (let n = 0; n < 100; n++) await writer.queueWrite('session', state, 'refused')
  const limits = {
    maxHeldBytes: 2 * MB,
    maxBatchBytes: MB / 4,
    attempts: 100,
    backoffDelay: 60_000,
  }
  const retrying = []
  const monitor = await audit.redis.monitor()
  const renewals = []
  monitor.on('monitor', (_time, [command, ...words]) => {
    if (command.toLowerCase() === 'xclaim') renewals.push(words)
  })
  const queue = audit.queue(limits)
  queue.on('retrying', ({ id }) => retrying.push(id))
  await until(() => retrying.length >= 20)
  // The worker has read until it holds enough in both of its batches; then it only renews its
  // claims: with one command each time.
  try {
    await until(() => retrying.length >= 20 && renewals.length >= 6, 20_000)
  } finally {
    monitor.disconnect()
  }
  // Each renewal is of all that a batch holds: far more than one record.
  for (const words of renewals.slice(-2)) {
    expect(words.filter((word) => /^\d+-\d+$/.test(word)).length).toBeGreaterThan(5)
  }
  const { waiting } = await queue.getMetrics()
  expect(waiting).toBeGreaterThan(20)
}, 60_000)

test('records that wait for another try need no more memory than the limit says, however many there are', async () => {
  const writer = audit.queue({ worker: false })
  await writer.migrate()
  await audit.rows(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'refused'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON sync_events FOR EACH ROW
      WHEN (NEW.event_type = 'refused') EXECUTE FUNCTION refuse()`)
  const state = stateOf(200 * 1024)
  for (let n = 0; n < 1200; n++) await writer.queueWrite('session', state, 'refused') // 240 MB
  const worker = audit.keep(
    new CallableProcess(
      `${MEMORY}
      const { DBWriteQueue } = require('./index.js')
      const before = calls.peak()
      const queue = new DBWriteQueue(process.env.REDIS_URL, JSON.parse(process.env.OPTIONS))
      let retrying = 0
      queue.on('retrying', () => retrying++)
      calls.now = () => ({ retrying, grown: calls.peak() - before })`,
      {
        REDIS_URL: audit.server.url,
        OPTIONS: JSON.stringify({
          databaseUrl: audit.databaseUrl,
          queueName: audit.queueName,
          maxHeldBytes: 8 * MB,
          maxBatchBytes: MB,
          attempts: 100,
          backoffDelay: 120_000,
        }),
      },
    ),
  )
  // Until it takes no more: both batches hold 8 MB.
  let last = { retrying: -1 }
  await until(async () => {
    const now = await worker.call('now')
    const isStill = now.retrying > 40 && now.retrying === last.retrying
    last = now
    await sleep(3000)
    return isStill
  }, 60_000)
  expect(last.retrying).toBeLessThan(400)
  expect(last.grown).toBeLessThan(100 * MB)
}, 120_000)

test('a worker on a slow line reads portions that arrive in time', async () => {
  const writer = audit.queue({ worker: false })
  await writer.migrate()
  const state = stateOf(0.9 * MB)
  for (let n = 0; n < 7; n++) await writer.queueWrite('session', state, 'x')
  const proxy = await audit.redisProxy()
  // All seven take more than the 5 s in which Redis has to answer.
  proxy.answers.bytesPerSecond = 1.15 * MB
  audit.queue({ url: proxy.url })
  await until(async () => (await audit.left()) === 0, 50_000)
  expect(await audit.events()).toHaveLength(7)
}, 80_000)

test('callbacks that are behind hold so many bytes of messages, not so many messages', async () => {
  const gate = path.join(audit.server.directory, 'gate') // The first callback takes until it is there.
  const subscriber = audit.keep(
    new CallableProcess(
      `${MEMORY}
      const fs = require('node:fs')
      const { RedisStateManager } = require('./index.js')
      const manager = new RedisStateManager(process.env.REDIS_URL)
      const still = new Int32Array(new SharedArrayBuffer(4))
      let before
      let heard = 0
      let slow = true
      manager.subscribeToUpdates((id) => {
        heard++
        while (slow && !fs.existsSync(process.env.GATE)) Atomics.wait(still, 0, 0, 20)
        slow = false
        if (id === 'last') calls.isOver = () => ({ heard, grown: calls.peak() - before })
      })
      calls.isOver = () => null
      calls.ready = async () => {
        await manager.subscribed()
        before = calls.peak()
      }`,
      { REDIS_URL: audit.server.url, GATE: gate },
    ),
  )
  await subscriber.call('ready')
  const state = JSON.stringify(stateOf(26 * 1024))
  const publish = (sessionId) =>
    audit.redis.publish(
      'session-updates',
      JSON.stringify({ sessionId, state, timestamp: Date.now() }),
    )
  const count = 10_000 // 260 MB
  for (let n = 0; n < count; n += 100) {
    await Promise.all(Array.from({ length: 100 }, () => publish('session')))
  }
  fs.writeFileSync(gate, '')
  const over = await until(async () => {
    await publish('last')
    return subscriber.call('isOver')
  }, 30_000)
  expect(over.heard).toBeGreaterThan(1000)
  expect(over.heard).toBeLessThan(count)
  expect(over.grown).toBeLessThan(200 * MB)
}, 60_000)

test('calls in flight are bounded in bytes; a larger one goes alone', async () => {
  const proxy = await audit.redisProxy()
  const options = { maxInFlightBytes: MB, commandTimeoutMs: 2000 }
  const manager = audit.manage(null, { url: proxy.url, ...options })
  const queue = audit.queue({ url: proxy.url, worker: false, ...options })
  const state = stateOf(300 * 1024)
  await manager.createSession(state)
  proxy.mode = 'blackhole'
  for (const write of [
    () => manager.createSession(state),
    () => manager.updateSession(state.session_id, state),
    () => manager.broadcastToSession(state.session_id, state.own),
    () => queue.queueWrite('session', state, 'x'),
  ]) {
    const began = performance.now()
    const inFlight = Array.from({ length: 3 }, () => write().catch(({ code }) => code))
    await expect(write()).rejects.toMatchObject({
      name: expect.stringMatching(/^(RedisUnavailable|Overloaded)Error$/),
      message: expect.stringContaining('maxInFlightBytes'),
    })
    expect(performance.now() - began).toBeLessThan(1500)
    await Promise.all(inFlight)
  }
  proxy.mode = 'pass'
  const large = stateOf(1.5 * MB)
  const roomy = audit.manage(null, { ...options, maxStateBytes: 2 * MB })
  await Promise.all([
    roomy.createSession(large),
    expect(roomy.createSession(large)).rejects.toThrow(),
  ])
  await roomy.createSession(large)
}, 40_000)

test('calls in flight need no more memory than the limit says', async () => {
  const proxy = await audit.redisProxy()
  proxy.mode = 'blackhole'
  const caller = audit.keep(
    new CallableProcess(
      `${MEMORY}
      const { RedisStateManager, createRedisClient } = require('./index.js')
      const client = createRedisClient(process.env.REDIS_URL, { maxInFlightBytes: ${32 * MB}, commandTimeoutMs: 3000 })
      const manager = new RedisStateManager(client, null, null, { maxInFlightBytes: ${32 * MB}, commandTimeoutMs: 3000 })
      const state = JSON.parse(process.env.STATE)
      const big = 'x'.repeat(${MB / 2})
      const value = { ...state, own: big }
      let before
      calls.fill = async (kind) => {
        before ??= calls.peak()
        const outcomes = {}
        const call = {
          create: () => manager.createSession(value),
          update: () => manager.updateSession(value.session_id, value),
          broadcast: () => manager.broadcastToSession('s', big),
          command: () => client.set('k', big),
        }[kind]
        const all = Array.from({ length: 1000 }, () =>
          call().then(() => 'done', ({ code }) => code).then((code) => {
            outcomes[code] = (outcomes[code] ?? 0) + 1
          }),
        )
        await Promise.all(all)
        return { outcomes, grown: calls.peak() - before }
      }`,
      { REDIS_URL: proxy.url, STATE: JSON.stringify(running()) },
    ),
  )
  for (const kind of ['create', 'update', 'broadcast', 'command']) {
    const { outcomes, grown } = await caller.call('fill', kind) // 500 MB
    expect(outcomes.OVERLOADED).toBeGreaterThan(900)
    // With what JavaScript has not collected yet of those that were refused.
    expect({ kind, isBounded: grown < 300 * MB }).toEqual({ kind, isBounded: true })
  }
}, 60_000)

test.each([
  ['maxInFlightBytes', 0],
  ['maxFeedBytes', 1.5],
  ['maxBatchBytes', '8'],
  ['maxHeldBytes', -1],
])('%s: %j is refused', (name, value) => {
  const make = /Feed/.test(name)
    ? () => audit.manage(null, { [name]: value })
    : () => audit.queue({ [name]: value })
  expect(make).toThrow(new RegExp(`^Invalid ${name}: `))
})
