'use strict'

const { spawnSync } = require('node:child_process')
const { randomUUID } = require('node:crypto')
const { once } = require('node:events')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { inspect } = require('node:util')
const {
  ClosedError,
  ConcurrencyError,
  DBWriteQueue,
  InvalidStateError,
  OutcomeUnknownError,
  RedisReplyError,
  RedisStateManager,
  RedisUnavailableError,
} = require('..')
const { createTestStore } = require('../testing/index.js')
const { runScript } = require('./harness/child.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { refusalOf, thrownBy } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const HOUR = 3_600_000
const LOGGER = { logger: { info() {}, warn() {}, error() {} } }

let store
beforeEach(() => {
  store = createTestStore()
})
afterEach(() => store.close())

const ID = 'game-1'
const state = makeState({ session_id: ID })

/** A manager, and what its callbacks heard: versions and messages. */
async function listening(options = LOGGER) {
  const manager = store.manager(options)
  const heard = []
  manager.subscribeToUpdates((_id, session) => heard.push(session?.version))
  manager.subscribeToWebSocket((_id, message) => heard.push(message))
  await manager.subscribed()
  return { manager, heard }
}

describe('a store', () => {
  test('is its own: two share nothing', async () => {
    const other = createTestStore()
    await store.manager().createSession(state)
    expect(other.sessions()).toEqual([])
    expect(await other.manager().getSession(ID)).toBeNull()
    await other.close()
  })

  test('is shared by its managers, and by those of its URL and its clients', async () => {
    const byUrl = new RedisStateManager(store.url)
    const byClient = new RedisStateManager(store.client(), store.client())
    await store.manager().createSession(state)
    for (const one of [store.manager(), byUrl, byClient]) {
      expect(await one.getSession(ID)).toMatchObject({ version: 1 })
    }
    await byUrl.close()
    await byClient.close()
  })

  test('passes options on, and refuses those that are none', async () => {
    expect(thrownBy(() => store.manager({ ttl: 1 }))).toBeInstanceOf(InvalidStateError)
    expect(thrownBy(() => store.queue({ name: 'x' }))).toBeInstanceOf(InvalidStateError)
    const [here, there] = [store.manager({ keyPrefix: 'a:' }), store.manager({ keyPrefix: 'b:' })]
    await here.createSession(state)
    expect(await there.getSession(ID)).toBeNull()
  })

  test('closes what it has made, and accepts nothing more', async () => {
    const [manager, queue, client] = [store.manager(), store.queue(), store.client()]
    await client.ping()
    await store.close()
    await expect(manager.getSession(ID)).rejects.toThrow(ClosedError)
    await expect(queue.getMetrics()).rejects.toThrow(ClosedError)
    expect(client.status).toBe('end')
    for (const make of ['manager', 'queue', 'client']) {
      expect(thrownBy(() => store[make]())).toBeInstanceOf(ClosedError)
    }
    for (const call of [
      () => store.records(),
      () => store.sessions(),
      () => store.outage(),
      () => store.loseAnswers(),
      () => store.delay(1),
      () => store.conflict(ID),
      () => store.refuse('OOM'),
    ]) {
      expect(thrownBy(call)).toBeInstanceOf(ClosedError)
    }
    await expect(store.gap()).rejects.toThrow(ClosedError)
    await expect(store.settled()).rejects.toThrow(ClosedError)
    expect(store.close()).toBe(store.close())
  })

  test('closes at once in an outage, too', async () => {
    const queue = store.queue(LOGGER)
    const manager = store.manager({ queue, ...LOGGER })
    await manager.createSession(state)
    await queue.drained()
    store.outage()
    const writing = refusalOf(() => manager.createSession(state))
    const began = performance.now()
    await store.close()
    expect(performance.now() - began).toBeLessThan(3000)
    expect(await writing).toBeInstanceOf(ClosedError)
  })

  test('is forgotten with its last user', async () => {
    await store.manager().createSession(state)
    await store.close()
    const manager = new RedisStateManager(store.url)
    expect(await manager.getSession(ID)).toBeNull()
    await manager.close()
  })

  test('is shown by its URL', () => {
    expect(inspect(store, { breakLength: 200 })).toBe(
      `TestStore { url: '${store.url}', status: 'open' }`,
    )
  })
})

describe('sessions()', () => {
  test('are what is stored, with dates, in the order of their ids', async () => {
    const manager = store.manager()
    await manager.createSession({ ...state, session_id: 'b', extra: [1.5, {}, []] })
    await manager.createSession({ ...state, session_id: 'a' })
    const sessions = store.sessions()
    expect(sessions).toEqual([await manager.getSession('a'), await manager.getSession('b')])
    expect(sessions[1].created_at).toBeInstanceOf(Date)
    expect(sessions[1].extra).toEqual([1.5, {}, []])
  })

  test('are none that were deleted or have expired', async () => {
    const manager = store.manager()
    await manager.createSession({ ...state, session_id: 'a' })
    await manager.createSession({ ...state, session_id: 'b' })
    await manager.deleteSession('a')
    expect(store.sessions().map((session) => session.session_id)).toEqual(['b'])
    store.clock.advance(HOUR)
    expect(store.sessions()).toEqual([])
  })
})

describe('records()', () => {
  test('are what was audited, in order, with dates', async () => {
    const manager = store.manager({ queue: store.queue({ worker: false }) })
    const before = Date.now()
    await manager.createSession(state)
    await manager.updateSession(ID, { ...state, status: 'running' }, 1)
    await manager.deleteSession(ID)
    const records = store.records()
    expect(records).toMatchObject([
      { eventType: 'session_created', state: { version: 1 } },
      { eventType: 'session_updated', state: { version: 2, status: 'running' } },
      { eventType: 'session_deleted', state: null },
    ])
    for (const record of records) {
      expect(Object.keys(record).sort()).toEqual(
        ['at', 'eventType', 'id', 'sessionId', 'state', 'status'].sort(),
      )
      expect(record).toMatchObject({ sessionId: ID, status: 'waiting' })
      expect(record.id).toMatch(/^[\da-f]{8}-[\da-f]{4}-7/)
      expect(record.at).toBeInstanceOf(Date)
      expect(record.at.getTime()).toBeGreaterThanOrEqual(before)
    }
    expect(records[0].state.updated_at).toBeInstanceOf(Date)
  })

  test('are those of queueWrite, too, and none without a queue', async () => {
    await store.manager().createSession(state)
    expect(store.records()).toEqual([])
    await store.queue().queueWrite(ID, state, 'cycle_switched')
    expect(store.records()).toMatchObject([{ eventType: 'cycle_switched', sessionId: ID }])
  })

  test('are stored in a database in memory, or are dead letters, once the queue is drained', async () => {
    const queue = store.queue({ logger: LOGGER.logger })
    await queue.queueWrite(randomUUID(), state, 'custom')
    await queue.queueWrite(randomUUID(), state, 'e'.repeat(51))
    await queue.drained()
    expect(store.records().map((record) => record.status)).toEqual(['stored', 'failed'])
    expect(await queue.getMetrics()).toMatchObject({ completed: 1, failed: 1, waiting: 0 })
  })
})

test('a dead letter has the date of the clock, and waits when it is tried again', async () => {
  const worker = store.queue(LOGGER)
  store.clock.advance(HOUR)
  await worker.queueWrite(ID, state, 'e'.repeat(51))
  await worker.drained()
  const [letter] = await worker.getFailed()
  expect(letter.failedAt - Date.now()).toBeGreaterThan(HOUR - 10_000)
  await worker.close()
  expect(store.records().map((record) => record.status)).toEqual(['failed'])
  expect(await store.queue({ worker: false }).retryFailed()).toBe(1)
  expect(store.records().map((record) => record.status)).toEqual(['waiting'])
})

describe('the clock', () => {
  test('lets a session expire when its TTL is over, and not before', async () => {
    const manager = store.manager({ ttlSeconds: 60 })
    await manager.createSession(state)
    store.clock.advance(59_000)
    expect(await manager.getSession(ID)).not.toBeNull()
    expect(await manager.touchSession(ID)).toBe(true)
    store.clock.advance(59_000)
    expect(await manager.getSession(ID)).not.toBeNull()
    await manager.updateSession(ID, state, 1)
    store.clock.advance(59_000)
    expect(await manager.getSession(ID)).not.toBeNull()
    store.clock.advance(1_000)
    expect(await manager.getSession(ID)).toBeNull()
  })

  test('is that of the dates of states and records', async () => {
    const manager = store.manager({ queue: store.queue() })
    await manager.createSession(state)
    store.clock.advance(600_000)
    await manager.updateSession(ID, await manager.getSession(ID))
    const { created_at, updated_at } = await manager.getSession(ID)
    const passed = updated_at - created_at
    expect(passed).toBeGreaterThanOrEqual(600_000)
    expect(passed).toBeLessThan(610_000)
    await store.queue().queueWrite(ID, state, 'custom')
    const [, updated, custom] = store.records()
    expect(updated.at).toEqual(updated_at)
    expect(custom.at - updated_at).toBeGreaterThanOrEqual(0)
    expect(Math.abs(store.clock.now() - Date.now() - 600_000)).toBeLessThan(100)
  })

  test("is that of the audit's back-offs", async () => {
    const directory = path.join(os.tmpdir(), randomUUID())
    const databaseUrl = `sqlite:${path.join(directory, 'audit.db')}`
    const queue = store.queue({ databaseUrl, migrate: true, backoffDelay: HOUR, ...LOGGER })
    const failed = once(queue, 'error')
    await queue.queueWrite(ID, state, 'custom')
    expect((await failed)[0]).toMatchObject({ sqlstate: 'SQLITE_CANTOPEN' })
    fs.mkdirSync(directory)
    try {
      await until(() => {
        store.clock.advance(30_000)
        return store.records()[0].status === 'stored'
      })
    } finally {
      await store.close()
      fs.rmSync(directory, { recursive: true })
    }
  })

  test('is the same for those who use the URL', async () => {
    store.clock.advance(HOUR)
    const manager = new RedisStateManager(store.url)
    await manager.createSession(state)
    expect((await manager.getSession(ID)).created_at - Date.now()).toBeGreaterThan(HOUR - 10_000)
    await manager.close()
  })

  test.each([-1, 1.5, '1', undefined, 2 ** 31])('cannot be set ahead by %p', (ms) => {
    expect(thrownBy(() => store.clock.advance(ms))).toBeInstanceOf(InvalidStateError)
  })
})

describe('outage()', () => {
  test('fails a call at its deadline, unexecuted; no time has to pass', async () => {
    const manager = store.manager({ commandTimeoutMs: 60_000, ...LOGGER })
    const end = store.outage()
    const writing = refusalOf(() => manager.createSession(state))
    store.clock.advance(60_000)
    const error = await writing
    expect(error).toBeInstanceOf(RedisUnavailableError)
    expect(error.message).toContain(store.url)
    end()
    expect(await manager.getSession(ID)).toBeNull()
  })

  test('holds calls up, and its end executes them in their order', async () => {
    const manager = store.manager(LOGGER)
    const end = store.outage()
    const calls = [
      manager.createSession(state),
      manager.updateSession(ID, state, 1),
      manager.getSession(ID),
    ]
    end()
    expect((await Promise.all(calls))[2]).toMatchObject({ version: 2 })
  })

  test('ends after its time, by the clock', async () => {
    const manager = store.manager({ commandTimeoutMs: 60_000, ...LOGGER })
    store.outage(30_000)
    const reading = manager.getSession(ID)
    store.clock.advance(30_000)
    expect(await reading).toBeNull()
  })

  test('interrupts subscriptions, which catch up', async () => {
    const logger = recordingLogger()
    const { manager, heard } = await listening({ logger })
    await manager.createSession(state)
    await store.settled()
    const end = store.outage()
    const writing = manager.updateSession(ID, state, 1)
    end()
    await writing
    await store.settled()
    expect(heard).toEqual([1, 2])
    expect(logger.told.warn.map(({ message }) => message)).toContain(
      'the subscription is interrupted',
    )
  })

  test('is no warning of the process', async () => {
    const source = `
      const { RedisStateManager } = require(${JSON.stringify(path.join(__dirname, '..'))})
      const { createTestStore } = require(${JSON.stringify(path.join(__dirname, '../testing'))})
      const store = createTestStore()
      const client = store.client()
      const manager = new RedisStateManager(client, null, store.queue())
      const end = store.outage()
      manager.subscribeToUpdates(() => {})
      const reconnecting = new Promise((resolve) => client.once('reconnecting', resolve))
      const reading = manager.getSession('a')
      reconnecting
        .then(end)
        .then(() => reading)
        .then(() => Promise.all([manager.close(), store.close()]))
        .then(() => console.log('closed'))
    `
    const ended = await runScript(source)
    expect(ended).toMatchObject({ code: 0, stdout: 'closed\n', stderr: '' })
  })

  test('shows in the status of a client', async () => {
    const client = store.client()
    client.on('error', () => {})
    await client.ping()
    expect(client.status).toBe('ready')
    const lost = new Promise((resolve) => client.once('reconnecting', resolve))
    const end = store.outage()
    await lost
    expect(client.status).toBe('reconnecting')
    const ready = new Promise((resolve) => client.once('ready', resolve))
    end()
    await ready
    expect(await client.ping()).toBe('PONG')
  })

  test('is no reason to warn the process', async () => {
    const ended = await runScript(`
      const { createTestStore } = require('./testing/index.js')
      const store = createTestStore()
      const queue = store.queue()
      const manager = store.manager({ queue })
      manager.subscribeToUpdates(() => {})
      ;(async () => {
        await manager.subscribed()
        await queue.drained()
        const end = store.outage()
        const reading = manager.getSession('a').catch((error) => console.log(error.code))
        store.clock.advance(5000)
        await reading
        end()
        await store.settled()
        await manager.getSession('a')
        await store.close()
      })()
    `)
    expect(ended).toMatchObject({ code: 0, stdout: 'REDIS_UNAVAILABLE\n', stderr: '' })
  })

  test.each([0, -1, 1.5, '1', 2 ** 31])('of %p ms is refused', (ms) => {
    expect(thrownBy(() => store.outage(ms))).toBeInstanceOf(InvalidStateError)
  })
})

test('loseAnswers() makes the change, and nobody hears', async () => {
  const manager = store.manager()
  store.loseAnswers(2)
  const error = await refusalOf(() => manager.createSession(state))
  expect(error).toBeInstanceOf(OutcomeUnknownError)
  expect(await manager.getSession(ID)).toMatchObject({ version: 1 }) // A read loses nothing.
  expect(await refusalOf(() => manager.deleteSession(ID))).toBeInstanceOf(OutcomeUnknownError)
  expect(store.sessions()).toEqual([])
  await manager.createSession(state)
  store.loseAnswers()
  expect(await refusalOf(() => manager.updateSession(ID, state, 1))).toBeInstanceOf(
    OutcomeUnknownError,
  )
  expect(store.sessions()).toMatchObject([{ version: 2 }])
})

test('delay() holds answers back until their time, by the clock', async () => {
  const manager = store.manager({ commandTimeoutMs: 600_000 })
  await manager.createSession(state)
  store.delay(HOUR / 60)
  let isAnswered = false
  const reading = manager.getSession(ID).then(() => {
    isAnswered = true
  })
  await store.settled()
  expect(isAnswered).toBe(false)
  store.clock.advance(HOUR / 60)
  await reading
  store.delay(0)
  expect(await manager.getSession(ID)).not.toBeNull()
  expect(thrownBy(() => store.delay(-1))).toBeInstanceOf(InvalidStateError)
})

describe('gap()', () => {
  test('lets subscriptions miss what happens meanwhile, and catch up', async () => {
    const logger = recordingLogger()
    const { manager, heard } = await listening({ logger })
    await manager.createSession(state)
    await manager.broadcastToSession(ID, 'before')
    await store.gap(async () => {
      await manager.updateSession(ID, state, 1)
      await manager.updateSession(ID, state, 2)
      await manager.broadcastToSession(ID, 'missed')
    })
    expect(heard).toEqual([1, 'before', 3])
    await manager.broadcastToSession(ID, 'after')
    await store.settled()
    expect(heard).toEqual([1, 'before', 3, 'after'])
    const gaps = logger.told.warn.filter(({ gap }) => gap)
    expect(gaps).toMatchObject([{ gap: { known: 1, changed: 1 } }])
  })

  test('may be one in which nothing happens', async () => {
    const { manager, heard } = await listening()
    await manager.createSession(state)
    await store.gap()
    expect(heard).toEqual([1])
    await manager.updateSession(ID, state, 1)
    await store.settled()
    expect(heard).toEqual([1, 2])
  })

  test('ends with the last of those that overlap', async () => {
    const { manager, heard } = await listening()
    await manager.createSession(state)
    await store.gap(async () => {
      await store.gap(() => manager.updateSession(ID, state, 1))
      await manager.updateSession(ID, state, 2)
      await store.settled()
      expect(heard).toEqual([1])
    })
    expect(heard).toEqual([1, 3])
  })

  test('ends also where what happens meanwhile fails', async () => {
    const { manager, heard } = await listening()
    await expect(store.gap(() => manager.updateSession(ID, state, 1))).rejects.toThrow('not found')
    await manager.createSession(state)
    await store.settled()
    expect(heard).toEqual([1])
  })
})

describe('conflict()', () => {
  test('lets another writer be first, once', async () => {
    const { manager, heard } = await listening({ queue: store.queue(), ...LOGGER })
    await manager.createSession(state)
    store.conflict(ID)
    const error = await refusalOf(() => manager.updateSession(ID, state, 1))
    expect(error).toBeInstanceOf(ConcurrencyError)
    expect(error).toMatchObject({ expectedVersion: 1, actualVersion: 2 })
    await manager.updateSession(ID, state, 2)
    await store.settled()
    expect(heard).toEqual([1, 2, 3])
    expect(store.records().map((record) => record.state.version)).toEqual([1, 2, 3])
  })

  test('is overcome by modifySession, whose callback runs again', async () => {
    const manager = store.manager()
    await manager.createSession(state)
    store.conflict(ID)
    let runs = 0
    const modified = await manager.modifySession(ID, (session) => {
      runs++
      return { ...session, status: 'running' }
    })
    expect([runs, modified.version, modified.status]).toEqual([2, 3, 'running'])
  })

  test('is about one session alone', async () => {
    const manager = store.manager()
    await manager.createSession(state)
    store.conflict('other')
    await manager.updateSession(ID, state, 1)
    expect(thrownBy(() => store.conflict(undefined))).toBeInstanceOf(InvalidStateError)
  })
})

test('refuse() refuses the next calls, unexecuted, with the message that it is given', async () => {
  const manager = store.manager()
  store.refuse('OOM command not allowed')
  const error = await refusalOf(() => manager.createSession(state))
  expect(error).toBeInstanceOf(RedisReplyError)
  expect(error.message).toBe('OOM command not allowed')
  expect(store.sessions()).toEqual([])
  store.refuse(new Error('MISCONF no snapshots'))
  await expect(manager.getSession(ID)).rejects.toThrow(RedisReplyError)
  store.refuse('NOPERM', 2)
  await expect(manager.getSession(ID)).rejects.toThrow('NOPERM')
  await expect(manager.touchSession(ID)).rejects.toThrow('NOPERM')
  await manager.createSession(state)
  for (const args of [[''], [1], [null], [{}], ['a', -1], ['a', '2']]) {
    expect(thrownBy(() => store.refuse(...args))).toBeInstanceOf(InvalidStateError)
  }
})

test('settled() waits until every callback was called, however many there are', async () => {
  const { manager, heard } = await listening()
  const other = await listening()
  await manager.createSession(state)
  for (let version = 1; version <= 100; version++) {
    await store.settled()
    expect([heard.length, other.heard.length]).toEqual([version, version])
    await manager.updateSession(ID, state, version)
  }
  const updates = Array.from({ length: 2000 }, () => manager.updateSession(ID, state))
  await Promise.all(updates)
  await store.settled()
  expect(heard).toHaveLength(2101)
  expect(other.heard).toHaveLength(2101)
})

test('settled() waits for callbacks that are far behind, and then catch up', async () => {
  const { manager, heard } = await listening()
  await manager.createSession(state)
  const large = { ...state, text: 'x'.repeat(900_000) }
  // Nothing is called back meanwhile: more bytes than may wait for JavaScript.
  const updates = Array.from({ length: 100 }, () => manager.updateSession(ID, large))
  await store.settled()
  expect(heard.at(-1)).toBe(101)
  await Promise.all(updates)
})

test('a queue of its own may be audited by', async () => {
  const queueWrite = jest.fn()
  const manager = store.manager({ queue: { queueWrite } })
  await manager.createSession(state)
  expect(queueWrite).toHaveBeenCalledWith(
    ID,
    expect.objectContaining({ version: 1 }),
    'session_created',
  )
  expect(store.queue()).toBeInstanceOf(DBWriteQueue)
})

describe('with fake timers', () => {
  afterEach(() => jest.useRealTimers())

  test('of Jest, nothing waits for them, and dates are the faked ones, plus what the clock was advanced', async () => {
    jest.useFakeTimers({ now: new Date('2030-01-01T00:00:00Z') })
    const { manager, heard } = await listening()
    await manager.createSession(state)
    store.clock.advance(60_000)
    await manager.modifySession(ID, (session) => session)
    await store.gap()
    const { created_at, updated_at } = await manager.getSession(ID)
    expect(created_at).toEqual(new Date('2030-01-01T00:00:00Z'))
    expect(updated_at).toEqual(new Date('2030-01-01T00:01:00Z'))
    expect(store.clock.now()).toBe(Date.parse('2030-01-01T00:01:00Z'))
    expect(heard).toEqual([1, 2])
    const end = store.outage()
    const reading = manager.getSession(ID)
    end()
    expect(await reading).not.toBeNull()
    store.clock.advance(HOUR)
    expect(await manager.getSession(ID)).toBeNull()
    await store.close()
  })
})

test('works under node:test, with its faked timers', () => {
  const file = path.join(__dirname, 'harness', 'testing-kit.node-test.mjs')
  const { NODE_OPTIONS: _jest, NODE_TEST_CONTEXT: _context, ...env } = process.env
  const { status, stdout } = spawnSync(process.execPath, ['--test', file], {
    encoding: 'utf8',
    env,
    timeout: 20_000,
  })
  expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/pass 2\n/) })
})
