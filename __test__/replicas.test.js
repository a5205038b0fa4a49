'use strict'

// Writes that are acknowledged once replicas have them.

const {
  ConcurrencyError,
  DBWriteQueue,
  InvalidStateError,
  OutcomeUnknownError,
  RedisReplyError,
} = require('..')
const { Managers } = require('./harness/managers.js')
const { Replicated } = require('./harness/replicated.js')
const { refusalOf, thrownBy } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

/** Enough for a replica that is well, on a busy machine; and for one that stands still. */
const REPLICAS = { count: 1, timeoutMs: 4000 }
const IN_VAIN = { count: 1, timeoutMs: 500 }

let pair
const managers = new Managers()

beforeAll(async () => {
  pair = await Replicated.start()
})
afterAll(() => pair.stop())
afterEach(async () => {
  pair.replica.resume()
  pair.line.requests.delayMs = 0
  pair.line.answers.delayMs = 0
  await pair.redis.acl('SETUSER', 'default', '+wait')
  await managers.close()
  await pair.inSync()
})

const open = (options) => managers.open(pair.proxy.url, { replicas: REPLICAS, ...options })

const versionIn = async (redis, id) => JSON.parse(await redis.get(`session:${id}`))?.version

/** A manager, and a session that replicas have. */
async function given(options) {
  const manager = open(options)
  const state = makeState()
  await manager.createSession(state)
  return { manager, state, id: state.session_id }
}

/** How often the master was sent `WAIT`. */
async function waits() {
  const stats = await pair.redis.info('commandstats')
  return Number(stats.match(/cmdstat_wait:calls=(\d+)/)?.[1] ?? 0)
}

describe('an acknowledged write', () => {
  test('is on the replica, whatever it was', async () => {
    const manager = open()
    const state = makeState()
    const id = state.session_id
    pair.line.answers.delayMs = 60 // Or else the replica could have it by chance.
    const copy = () => versionIn(pair.copy, id)
    await manager.createSession(state)
    expect(await copy()).toBe(1)
    await manager.updateSession(id, state)
    expect(await copy()).toBe(2)
    await manager.updateSession(id, state, 2)
    expect(await copy()).toBe(3)
    await manager.modifySession(id, (session) => session)
    expect(await copy()).toBe(4)
    await pair.redis.expire(`session:${id}`, 5)
    await manager.touchSession(id)
    expect(await pair.copy.ttl(`session:${id}`)).toBeGreaterThan(3500)
    await manager.deleteSession(id)
    expect(await copy()).toBeUndefined()
  })

  test('is on the replica with its audit record, and so is a record that was queued', async () => {
    const queueName = crypto.randomUUID()
    const queue = managers.keep(
      new DBWriteQueue(pair.proxy.url, { queueName, worker: false, replicas: REPLICAS }),
    )
    const manager = open({ queue })
    pair.line.answers.delayMs = 60
    const records = () => pair.copy.xlen(`synckairos:audit:{${queueName}}:stream`)
    const state = makeState()
    await manager.createSession(state)
    expect(await records()).toBe(1)
    await queue.queueWrite(state.session_id, state, 'event')
    expect(await records()).toBe(2)
  })

  test('is one of many that share a WAIT', async () => {
    const { manager } = await given()
    pair.line.answers.delayMs = 5
    const before = await waits()
    const writes = 2000
    const sessions = Array.from({ length: 100 }, () => makeState())
    await Promise.all(sessions.map((state) => manager.createSession(state)))
    await Promise.all(
      sessions.map(async (state) => {
        for (let n = 1; n < writes / 100; n++) await manager.updateSession(state.session_id, state)
      }),
    )
    const { session_id: id } = sessions.at(-1)
    expect(await versionIn(pair.copy, id)).toBe(writes / 100)
    expect((await waits()) - before).toBeLessThan(writes / 10)
  })

  test('is one of many, called one by one, whose WAITs do not pile up', async () => {
    const { manager } = await given()
    pair.line.answers.delayMs = 50
    const before = await waits()
    const writes = []
    for (let n = 0; n < 100; n++) {
      writes.push(manager.createSession(makeState()))
      await new Promise(setImmediate)
    }
    await Promise.all(writes)
    expect((await waits()) - before).toBeLessThan(10)
  })
})

test('reads ask no replica', async () => {
  const { manager, id } = await given()
  const before = await waits()
  await Promise.all([manager.getSession(id), manager.getSessions([id])])
  expect(await waits()).toBe(before)
})

describe('the replica stands still', () => {
  test('a write has an unknown outcome, in time, and is done', async () => {
    const { manager, state, id } = await given({ replicas: IN_VAIN })
    pair.replica.pause()
    const begun = performance.now()
    const error = await refusalOf(() => manager.updateSession(id, state))
    const lasted = performance.now() - begun
    expect(error).toBeInstanceOf(OutcomeUnknownError)
    expect(error.message).toContain(`127.0.0.1:${pair.proxy.port}`)
    expect(error.message).toContain('0 of 1 replicas had it within 500 ms')
    expect(lasted).toBeGreaterThan(490)
    expect(lasted).toBeLessThan(1500)
    expect(await versionIn(pair.redis, id)).toBe(2)
    pair.replica.resume()
    await open().updateSession(id, state)
    expect(await versionIn(pair.copy, id)).toBe(3)
  })

  test('the writes of a session go on, one after the other', async () => {
    const { manager, state, id } = await given({ replicas: IN_VAIN })
    pair.replica.pause()
    const errors = await Promise.all(
      [1, 2, 3].map(() => refusalOf(() => manager.updateSession(id, state))),
    )
    for (const error of errors) expect(error).toBeInstanceOf(OutcomeUnknownError)
    expect(await versionIn(pair.redis, id)).toBe(4)
  })

  test('a conflict is one: nothing was written', async () => {
    const { manager, state, id } = await given()
    pair.replica.pause()
    const conflict = await refusalOf(() => manager.updateSession(id, state, 7))
    expect(conflict).toBeInstanceOf(ConcurrencyError)
  })

  test('and Redis waits longer than a silent server is given: the connection stays', async () => {
    const { manager, state, id } = await given({ replicas: { count: 1, timeoutMs: 3500 } })
    const before = pair.proxy.connections
    pair.replica.pause()
    const error = await refusalOf(() => manager.updateSession(id, state))
    expect(error.message).toContain('within 3500 ms')
    expect(pair.proxy.connections).toBe(before)
  })

  test('a write ends by its deadline, and is done', async () => {
    const replicas = { count: 1, timeoutMs: 600 }
    const { manager, state, id } = await given({ replicas, commandTimeoutMs: 600 })
    const writer = open({ replicas: { count: 1, timeoutMs: 3000 } })
    pair.replica.pause()
    const begun = performance.now()
    const [error] = await Promise.all([
      refusalOf(() => manager.updateSession(id, state)),
      refusalOf(() => writer.updateSession(makeState().session_id, state)),
    ])
    expect(error).toBeInstanceOf(OutcomeUnknownError)
    expect(performance.now() - begun).toBeLessThan(5000)
    expect(await versionIn(pair.redis, id)).toBe(2)
  })

  test('a manager closes in time', async () => {
    const { manager, state, id } = await given({ replicas: { count: 1, timeoutMs: 5000 } })
    pair.replica.pause()
    const error = refusalOf(() => manager.updateSession(id, state))
    await until(async () => (await versionIn(pair.redis, id)) === 2)
    const begun = performance.now()
    await manager.close()
    expect(await error).toBeInstanceOf(OutcomeUnknownError)
    expect(performance.now() - begun).toBeLessThan(2500)
  })

  test.each([
    ['an update', undefined],
    ['a locked update', 1],
  ])(
    '%s whose connection is lost waits for it again, and is done once',
    async (_what, expected) => {
      const { manager, state, id } = await given({ replicas: { count: 1, timeoutMs: 1500 } })
      pair.replica.pause()
      const lost = refusalOf(() => manager.updateSession(id, state, expected))
      await until(async () => (await versionIn(pair.redis, id)) === 2)
      pair.proxy.reset()
      expect(await lost).toBeInstanceOf(OutcomeUnknownError)
      expect((await lost).message).toContain('0 of 1 replicas')
      pair.replica.resume()
      await pair.inSync()

      pair.replica.pause()
      const next = expected && expected + 1
      const done = manager.updateSession(id, state, next)
      await until(async () => (await versionIn(pair.redis, id)) === 3)
      const before = await waits()
      pair.proxy.reset()
      await until(async () => (await waits()) > before)
      pair.replica.resume()
      await done
      expect(await versionIn(pair.copy, id)).toBe(3)
    },
  )
})

test('more replicas than there are have nothing', async () => {
  const { manager, state, id } = await given()
  const demanding = open({ replicas: { count: 2, timeoutMs: 100 } })
  const error = await refusalOf(() => demanding.updateSession(id, state))
  expect(error.message).toContain('1 of 2 replicas')
  await manager.updateSession(id, state)
})

test('where WAIT is refused, it is said once what it needs, and then nothing is written', async () => {
  const { manager, state, id } = await given()
  await pair.redis.acl('SETUSER', 'default', '-wait')
  const first = await refusalOf(() => manager.updateSession(id, state))
  expect(first).toBeInstanceOf(OutcomeUnknownError)
  expect(first.message).toMatch(/NOPERM.*replicas.*WAIT/)
  const second = await refusalOf(() => manager.updateSession(id, state))
  expect(second).toBeInstanceOf(RedisReplyError)
  expect(second.message).toMatch(/NOPERM.*replicas.*WAIT/)
  expect(second.message).toContain(`127.0.0.1:${pair.proxy.port}`)
  expect(await versionIn(pair.redis, id)).toBe(2)
  await open({ replicas: undefined }).updateSession(id, state)
})

describe('the option', () => {
  const bad = [
    ['replicas', 1],
    ['replicas.count', {}],
    ['replicas.count', { count: 0 }],
    ['replicas.count', { count: 1.5 }],
    ['replicas.count', { count: 101 }],
    ['replicas.timeoutMs', { count: 1, timeoutMs: 0 }],
    ['replicas.timeoutMs', { count: 1, timeoutMs: 5001 }],
    ['replicas.ms', { count: 1, ms: 5 }],
  ]

  test.each(bad)('is refused by name: %s %p', (field, replicas) => {
    for (const open of [
      () => managers.open(pair.proxy.url, { replicas }),
      () => managers.keep(new DBWriteQueue(pair.proxy.url, { replicas, worker: false })),
    ]) {
      const error = thrownBy(open)
      expect(error).toBeInstanceOf(InvalidStateError)
      expect(error.field).toBe(field)
    }
  })

  test('waits half a second where nothing else is said', async () => {
    const manager = open({ replicas: { count: 2 } })
    const error = await refusalOf(() => manager.createSession(makeState()))
    expect(error.message).toContain('1 of 2 replicas had it within 500 ms')
  })

  test('waits no longer than a call that ends before that', () => {
    for (const replicas of [{ count: 1 }, { count: 1, timeoutMs: undefined }]) {
      managers.open(pair.proxy.url, { replicas, commandTimeoutMs: 300 })
    }
  })

  test('has no effect on a store in this process', async () => {
    const manager = managers.open('memory://replicas', { replicas: REPLICAS })
    const state = makeState()
    await manager.createSession(state)
    expect((await manager.getSession(state.session_id)).version).toBe(1)
  })
})
