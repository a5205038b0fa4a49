'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { OutcomeUnknownError, RedisUnavailableError, createRedisClient } = require('..')
const { FakeServer } = require('./harness/fake-server.js')
const { Outage } = require('./harness/outage.js')
const { watchedClient } = require('./harness/reconnections.js')
const { refusalOf } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { sleep, until } = require('./harness/until.js')

const outage = Outage.use()

const TIMEOUT = 1500

/** What makes Redis refuse, and what makes it stop. */
const REFUSALS = {
  NOREPLICAS: {
    begin: () => outage.redis.config('SET', 'min-replicas-to-write', 1),
    end: () => outage.redis.config('SET', 'min-replicas-to-write', 0),
  },
  MISCONF: {
    async begin() {
      // A snapshot cannot take the place of a directory.
      fs.mkdirSync(path.join(outage.server.directory, 'dump.rdb'))
      await outage.redis.config('SET', 'save', '3600 1')
      await outage.redis.bgsave()
      await until(async () =>
        (await outage.redis.info('persistence')).includes('rdb_last_bgsave_status:err'),
      )
    },
    async end() {
      await outage.redis.config('SET', 'save', '')
      fs.rmSync(path.join(outage.server.directory, 'dump.rdb'), { recursive: true, force: true })
    },
  },
}

/** What ends the reads of a test, however it went. */
let stopReading = async () => {}

/** A manager, its client, and reads over the same connection until `stop()`. */
async function underReads(options) {
  const watched = await watchedClient(outage.proxy, options)
  const manager = outage.manage(watched.client, options)
  const { session_id: id } = await outage.given()
  // Whatever connections there are for calls are there after these.
  for (let n = 0; n < 40; n++) await manager.getSession(id)
  await manager.updateSession(id, makeState({ session_id: id }))
  const failures = []
  let reads = 0
  let over = false
  const reading = (async () => {
    while (!over) {
      for (let n = 0; n < 3; n++) {
        manager.getSession(id).then(
          () => reads++,
          (error) => failures.push(error.message),
        )
      }
      await sleep(10)
    }
  })()
  stopReading = async () => {
    over = true
    await reading
  }
  return {
    manager,
    watched,
    failures,
    connections: outage.proxy.connections,
    get reads() {
      return reads
    },
    stop: stopReading,
  }
}

afterEach(async () => {
  await stopReading()
  for (const { end } of Object.values(REFUSALS)) await end()
})

describe.each(Object.keys(REFUSALS))('Redis refuses writes: %s', (code) => {
  const { begin, end } = REFUSALS[code]

  test('reads go on, on the same connection, and writes fail at their deadline', async () => {
    const load = await underReads({ commandTimeoutMs: TIMEOUT })
    const states = await Promise.all(Array.from({ length: 20 }, () => outage.given()))
    await begin()
    const before = load.reads
    const writes = []
    for (const [n, state] of states.entries()) {
      const started = performance.now()
      const write = refusalOf(() =>
        load.manager.updateSession(state.session_id, state, n % 2 ? 1 : undefined),
      )
      writes.push(write.then((error) => ({ error, state, ms: performance.now() - started })))
      await sleep(100)
    }
    for (const { error, state, ms } of await Promise.all(writes)) {
      expect(error).toBeInstanceOf(RedisUnavailableError)
      expect(error.message).toContain(code)
      expect(ms).toBeGreaterThan(TIMEOUT - 20)
      expect(ms).toBeLessThan(TIMEOUT + 500)
      expect((await outage.stored(state.session_id)).version).toBe(1)
    }
    await load.stop()
    expect(load.failures).toEqual([])
    expect(load.reads - before).toBeGreaterThan(300)
    expect(load.watched.reconnections).toBe(0)
    expect(outage.proxy.connections).toBe(load.connections)
  })

  test('a write succeeds once Redis takes writes again, within the deadline', async () => {
    const load = await underReads()
    const states = await Promise.all(Array.from({ length: 20 }, () => outage.given()))
    await begin()
    let settled = 0
    const writes = states.map((state, n) =>
      load.manager
        .updateSession(state.session_id, state, n % 2 ? 1 : undefined)
        .finally(() => settled++),
    )
    await sleep(1000)
    expect(settled).toBe(0)
    await end()
    const ended = performance.now()
    await Promise.all(writes)
    expect(performance.now() - ended).toBeLessThan(2500) // The longest wait between two tries.
    for (const { session_id } of states) expect((await outage.stored(session_id)).version).toBe(2)
    await load.stop()
    expect(load.failures).toEqual([])
    expect(load.watched.reconnections).toBe(0)
  })
})

test('nobody is told of a deletion that Redis refuses', async () => {
  const manager = await outage.connected({ commandTimeoutMs: TIMEOUT })
  const state = await outage.given()
  const listener = outage.server.client()
  const heard = []
  listener.on('message', (_channel, text) => heard.push(JSON.parse(text)))
  await listener.subscribe('session-updates')
  await outage.redis.config('SET', 'min-replicas-to-write', 1)
  const refused = await refusalOf(() => manager.deleteSession(state.session_id))
  await outage.redis.config('SET', 'min-replicas-to-write', 0)
  expect(refused).toBeInstanceOf(RedisUnavailableError)
  expect(refused.message).toContain('NOREPLICAS')
  await manager.updateSession(state.session_id, state)
  await until(() => heard.length > 0)
  expect(heard.map(({ deleted }) => deleted)).toEqual([undefined])
})

describe('Redis is busy with a script', () => {
  /** What ends the script, where one runs. */
  let free = async () => {}

  /** Keeps Redis busy until `free` is called. */
  async function busy() {
    await outage.redis.config('SET', 'busy-reply-threshold', 50)
    // A client that finds Redis busy would wait with its first command.
    const other = outage.server.client()
    await other.ping()
    const ended = other.eval('while true do end', 0).catch(() => {})
    await until(() =>
      outage.redis.ping().then(
        () => false,
        (error) => error.message.startsWith('BUSY'),
      ),
    )
    free = async () => {
      free = async () => {}
      await outage.redis.script('KILL')
      await ended
    }
  }

  afterEach(() => free())

  test('reads and writes wait, on the same connection, and succeed when it is done', async () => {
    const load = await underReads()
    await load.stop()
    await busy()
    const id = 'written-while-busy'
    const calls = [
      load.manager.createSession(makeState({ session_id: id })),
      load.manager.getSession('none'),
      load.manager.touchSession('none'),
    ]
    let settled = 0
    for (const call of calls) call.then(() => settled++)
    await sleep(2500) // Longer than a connection may owe an answer.
    expect(settled).toBe(0)
    await free()
    await Promise.all(calls)
    expect(await outage.stored(id)).toMatchObject({ version: 1 })
    expect(load.watched.reconnections).toBe(0)
    expect(outage.proxy.connections).toBe(load.connections)
  })

  test('calls end at their deadline as refused where it is not', async () => {
    const load = await underReads({ commandTimeoutMs: TIMEOUT })
    await load.stop()
    const state = await outage.given()
    await busy()
    const started = performance.now()
    const errors = await Promise.all([
      refusalOf(() => load.manager.getSession('none')),
      refusalOf(() => load.manager.updateSession(state.session_id, state)),
      refusalOf(() => load.manager.updateSession(state.session_id, state, 1)),
      refusalOf(() => load.manager.broadcastToSession(state.session_id, 'busy')),
    ])
    const ms = performance.now() - started
    await free()
    for (const error of errors) {
      expect(error).toBeInstanceOf(RedisUnavailableError)
      expect(error.message).toContain('BUSY')
    }
    expect(ms).toBeGreaterThan(TIMEOUT - 20)
    expect(ms).toBeLessThan(TIMEOUT + 500)
    expect((await outage.stored(state.session_id)).version).toBe(1)
    expect(load.watched.reconnections).toBe(0)
  })
})

describe('a refusal says whether this is the wrong server', () => {
  let fake

  beforeEach(async () => {
    fake = await FakeServer.start()
  })
  afterEach(() => fake.stop())

  /** A manager of the fake server with one connection, and what is told of that. */
  async function connected() {
    const client = createRedisClient(fake.url)
    const manager = outage.manage(client)
    expect(await manager.getSession('none')).toBeNull()
    expect(fake.connections).toHaveLength(1)
    const reconnecting = jest.fn()
    client.on('reconnecting', reconnecting)
    return { manager, reconnecting }
  }

  test.each([
    'CLUSTERDOWN The cluster is down',
    'TRYAGAIN Multiple keys request during rehashing of slot',
    'NOREPLICAS Not enough good replicas to write.',
    'MISCONF Redis is configured to save RDB snapshots',
    'BUSY Redis is busy running a script.',
  ])('not the wrong one, so it is asked again: %s', async (line) => {
    const { manager, reconnecting } = await connected()
    let refusals = 0
    const refuseThrice = () => (++refusals > 3 ? ':2\r\n' : `-${line}\r\n`)
    fake.answer('EVAL', refuseThrice)
    fake.answer('EVALSHA', refuseThrice)
    await manager.updateSession('s', makeState({ session_id: 's' }))
    expect(refusals).toBe(4)
    expect(reconnecting).not.toHaveBeenCalled()
    expect(fake.connections).toHaveLength(1)
  })

  test.each([
    "READONLY You can't write against a read only replica.",
    'LOADING Redis is loading the dataset in memory',
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  ])('the wrong one, so another connection is made: %s', async (line) => {
    const { manager } = await connected()
    const refuseFirst = ({ id }) => (id === 1 ? `-${line}\r\n` : ':2\r\n')
    fake.answer('EVAL', refuseFirst)
    fake.answer('EVALSHA', refuseFirst)
    await manager.updateSession('s', makeState({ session_id: 's' }))
    expect(fake.connections).toHaveLength(2)
  })

  test('tries are spaced, not as fast as Redis refuses', async () => {
    const manager = outage.manage(fake.url, { commandTimeoutMs: TIMEOUT })
    fake.answer('EVALSHA', () => '-TRYAGAIN later\r\n')
    const error = await refusalOf(() =>
      manager.updateSession('s', makeState({ session_id: 's' }), 1),
    )
    expect(error).toBeInstanceOf(RedisUnavailableError)
    expect(fake.timesAsked(/^EVALSHA/)).toBeGreaterThan(2)
    expect(fake.timesAsked(/^EVALSHA/)).toBeLessThan(60)
  })
})

describe('40 locked updates in flight, all refused', () => {
  const CODES = {
    READONLY: {
      begin: () => outage.redis.replicaof('127.0.0.1', 1),
      end: () => outage.redis.replicaof('NO', 'ONE'),
    },
    NOREPLICAS: REFUSALS.NOREPLICAS,
  }

  test.each([
    ['READONLY', TIMEOUT],
    ['READONLY', 5000],
    ['NOREPLICAS', TIMEOUT],
    ['NOREPLICAS', 5000],
  ])('%s: each is known to have changed nothing, after %i ms', async (code, timeout) => {
    const manager = await outage.connected({ commandTimeoutMs: timeout })
    for (let n = 0; n < 40; n++) await manager.getSession('none')
    const states = await Promise.all(Array.from({ length: 40 }, () => outage.given()))
    await CODES[code].begin()
    const started = performance.now()
    let errors
    try {
      errors = await Promise.all(
        states.map((state) => refusalOf(() => manager.updateSession(state.session_id, state, 1))),
      )
    } finally {
      await CODES[code].end()
    }
    expect(performance.now() - started).toBeLessThan(timeout + 500)
    const names = errors.map(({ name }) => name)
    expect(names).not.toContain(OutcomeUnknownError.name)
    for (const error of errors) {
      expect(error).toBeInstanceOf(RedisUnavailableError)
      expect(error.message).toContain(code)
    }
    for (const { session_id } of states) expect((await outage.stored(session_id)).version).toBe(1)
  })
})
