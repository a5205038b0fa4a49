'use strict'

const { Outage, outcomeOf } = require('./harness/outage.js')
const { refusing } = require('./harness/refused-requests.js')
const { makeState } = require('./harness/sessions.js')
const { sleep, until } = require('./harness/until.js')

const outage = Outage.use()

/** How Redis is made to refuse writes, and to take them again. */
const REFUSALS = {
  READONLY: {
    begin: () => outage.redis.replicaof('127.0.0.1', 1),
    end: () => outage.redis.replicaof('NO', 'ONE'),
  },
  NOREPLICAS: {
    begin: () => outage.redis.config('SET', 'min-replicas-to-write', 1),
    end: () => outage.redis.config('SET', 'min-replicas-to-write', 0),
  },
}

/**
 * Two writes of a session of version 1, and what is stored in the end.
 */
const PAIRS = {
  'two updates': {
    first: (manager, state) => manager.updateSession(state.session_id, { ...state, x: 1 }),
    second: (manager, state) => manager.updateSession(state.session_id, { ...state, x: 2 }),
    stored: { version: 3, x: 2 },
  },
  'locked updates of versions 1 and 2': {
    first: (manager, state) => manager.updateSession(state.session_id, { ...state, x: 1 }, 1),
    second: (manager, state) => manager.updateSession(state.session_id, { ...state, x: 2 }, 2),
    stored: { version: 3, x: 2 },
  },
  'a create and an update': {
    first: (manager, state) => manager.createSession({ ...state, x: 1 }),
    second: (manager, state) => manager.updateSession(state.session_id, { ...state, x: 2 }, 1),
    stored: { version: 2, x: 2 },
  },
  'an update and a deletion': {
    first: (manager, state) => manager.updateSession(state.session_id, { ...state, x: 1 }),
    second: (manager, state) => manager.deleteSession(state.session_id),
    stored: null,
  },
  'a deletion and a create': {
    first: (manager, state) => manager.deleteSession(state.session_id),
    second: (manager, state) => manager.createSession({ ...state, x: 2 }, { ifAbsent: true }),
    stored: { version: 1, x: 2 },
  },
}

/** How often Redis has answered with this error. */
async function timesRefused(code) {
  const found = RegExp(`errorstat_${code}:count=(\\d+)`).exec(await outage.redis.info('errorstats'))
  return Number(found?.[1] ?? 0)
}

/** Begins a call without awaiting it: its rejection is not an unhandled one. */
function begun(promise) {
  promise.catch(() => {})
  return promise
}

afterEach(async () => {
  for (const { end } of Object.values(REFUSALS)) await end()
})

describe.each(Object.keys(REFUSALS))('writes are refused for a while (%s)', (code) => {
  describe.each(Object.keys(PAIRS))('%s, neither awaited, take effect in this order', (name) => {
    const { first, second, stored } = PAIRS[name]
    const { begin, end } = REFUSALS[code]

    /** `between` is after the first was refused, whose answer is still on its way. */
    async function inOrder(between, after) {
      const manager = await outage.connected()
      for (let n = 0; n < 40; n++) await manager.getSession('none')
      const state = await outage.given()
      outage.proxy.answers.delayMs = 50
      await begin()
      const before = await timesRefused(code)
      const a = begun(first(manager, state))
      await until(async () => (await timesRefused(code)) > before)
      await between()
      const b = begun(second(manager, state))
      await after()
      await Promise.all([a, b])
      const found = await outage.stored(state.session_id)
      if (stored) expect(found).toMatchObject(stored)
      else expect(found).toBeNull()
    }

    test('when only the first was refused', () => inOrder(end, async () => {}))

    test('when the refusal ends right behind the second', () => inOrder(() => sleep(5), end))

    test('when both were refused', () =>
      inOrder(
        () => sleep(5),
        async () => {
          await sleep(200)
          await end()
        },
      ))
  })
})

describe('a read of a session', () => {
  test('waits for a write that is on its way, and sees it', async () => {
    const manager = await outage.connected()
    outage.proxy.answers.delayMs = 50
    const state = await outage.given()
    const { session_id: id } = state
    const written = begun(manager.updateSession(id, { ...state, x: 1 }))
    const reads = [manager.getSession(id), manager.getSessions([id, 'none'])]
    const [one, [several]] = await Promise.all(reads)
    expect([one.x, several.x]).toEqual([1, 1])
    await written
  })

  test('goes on while a write is refused', async () => {
    const manager = await outage.connected()
    const state = await outage.given()
    const { session_id: id } = state
    await REFUSALS.NOREPLICAS.begin()
    const before = await timesRefused('NOREPLICAS')
    const written = begun(manager.updateSession(id, { ...state, x: 1 }))
    await until(async () => (await timesRefused('NOREPLICAS')) > before)
    const behind = begun(manager.updateSession(id, { ...state, x: 2 }))
    expect(await manager.getSession(id)).not.toHaveProperty('x')
    expect(await manager.getSessions([id])).not.toHaveProperty('0.x')
    await REFUSALS.NOREPLICAS.end()
    await Promise.all([written, behind])
    expect((await manager.getSession(id)).x).toBe(2)
  })
})

describe('messages of a session keep their order', () => {
  /** What another client hears of it, as it was sent. */
  async function heardOf(id) {
    const listener = outage.server.client()
    const heard = []
    listener.on('message', (_channel, text) => heard.push(JSON.parse(text).message))
    await listener.subscribe(`ws:${id}`)
    return heard
  }

  test.each([
    'BUSY Redis is busy running a script.',
    'TRYAGAIN Multiple keys request during rehashing of slot',
    'LOADING Redis is loading the dataset in memory',
    "READONLY You can't write against a read only replica.",
  ])('though the first is refused once: %s', async (error) => {
    const manager = await outage.connected()
    for (let n = 0; n < 40; n++) await manager.getSession('none')
    const heard = await heardOf('order')
    const refused = refusing(/^PUBLISH/, error, 1)
    outage.proxy.rewritten = refused
    outage.proxy.answers.delayMs = 50
    const first = begun(manager.broadcastToSession('order', 1))
    await until(() => refused.count === 1)
    await Promise.all([first, manager.broadcastToSession('order', 2)])
    await until(() => heard.length > 1)
    expect(heard).toEqual([1, 2])
  })

  test('when all that were sent together are refused', async () => {
    const manager = await outage.connected()
    for (let n = 0; n < 40; n++) await manager.getSession('none')
    const heard = await heardOf('together')
    outage.proxy.rewritten = refusing(/^PUBLISH/, 'BUSY Redis is busy running a script.', 5)
    const numbers = [1, 2, 3, 4, 5]
    await Promise.all(numbers.map((n) => manager.broadcastToSession('together', n)))
    await until(() => heard.length === 5)
    expect(heard).toEqual(numbers)
  })

  test('also where one of them is refused and a later one is not: it is said to be', async () => {
    const manager = await outage.connected()
    for (let n = 0; n < 40; n++) await manager.getSession('none')
    const heard = await heardOf('apart')
    outage.proxy.rewritten = refusing(/^PUBLISH/, 'BUSY Redis is busy running a script.', 1)
    const outcomes = [1, 2].map((n) => outcomeOf(manager.broadcastToSession('apart', n)))
    expect(await Promise.all(outcomes)).toEqual(['RedisUnavailableError', 'done'])
    await manager.broadcastToSession('apart', 3)
    await until(() => heard.length > 1)
    expect(heard).toEqual([2, 3])
  })

  test('while connections are reset: none comes twice, and none late', async () => {
    const manager = await outage.connected()
    const heard = await heardOf('resets')
    const outcomes = []
    for (let n = 0; n < 300; n++) {
      outcomes.push(outcomeOf(manager.broadcastToSession('resets', n)))
      if (n % 30 === 15) outage.proxy.reset()
      if (n % 5 === 0) await sleep(5)
    }
    const settled = await Promise.all(outcomes)
    const done = [...settled.keys()].filter((n) => settled[n] === 'done')
    await manager.broadcastToSession('resets', 'last')
    await until(() => heard.includes('last'))
    expect(heard.slice(0, -1)).toEqual([...new Set(heard.slice(0, -1))].sort((a, b) => a - b))
    for (const n of done) expect(heard).toContain(n)
    expect(outage.proxy.connections).toBeGreaterThan(1)
  })
})

describe('connections are reset under calls that nobody awaits', () => {
  /** Resets all connections again and again while the calls are made. */
  async function underResets(count, call) {
    const calls = []
    for (let n = 1; n <= count; n++) {
      calls.push(begun(call(n)))
      if (n % 20 === 10) setImmediate(() => outage.proxy.reset())
      if (n % 4 === 0) await sleep(10)
    }
    return Promise.all(calls)
  }

  test.each([
    ['unlocked', () => undefined],
    ['locked', (n) => n],
  ])('%s updates of one session land once each, in order', async (_kind, expected) => {
    const manager = await outage.connected()
    const state = await outage.given()
    const id = state.session_id
    const versions = []
    const listener = outage.server.client()
    listener.on('message', (_channel, text) => {
      const message = JSON.parse(text)
      if (message.sessionId === id) versions.push(message.state)
    })
    await listener.subscribe('session-updates')
    outage.proxy.answers.delayMs = 5 // So that there is something in flight.
    await underResets(100, (n) => manager.updateSession(id, { ...state, x: n }, expected(n)))
    expect(await outage.stored(id)).toMatchObject({ version: 101, x: 100 })
    await until(() => versions.length >= 100)
    const heard = versions.map((one) => (typeof one === 'string' ? JSON.parse(one) : one).x)
    expect(heard).toEqual(Array.from({ length: 100 }, (_, index) => index + 1))
    expect(outage.proxy.connections).toBeGreaterThan(1)
  })

  test('a read behind a write sees it', async () => {
    const manager = await outage.connected()
    const states = await Promise.all(Array.from({ length: 20 }, () => outage.given()))
    outage.proxy.answers.delayMs = 5
    const seen = await underResets(100, async (n) => {
      const state = states[n % states.length]
      const write = manager.updateSession(state.session_id, { ...state, x: n })
      const read = manager.getSession(state.session_id)
      await write
      return { wrote: n, saw: (await read).x }
    })
    for (const { wrote, saw } of seen) expect(saw).toBeGreaterThanOrEqual(wrote)
  })
})

test('a read behind a write sees it, neither awaited', async () => {
  const manager = await outage.connected()
  const state = makeState()
  const id = state.session_id
  outage.proxy.answers.delayMs = 10
  begun(manager.createSession({ ...state, x: 0 }))
  for (let x = 1; x <= 100; x++) {
    begun(manager.updateSession(id, { ...state, x }, x % 2 ? x : undefined))
    const read = x % 3 ? manager.getSession(id) : manager.getSessions([id])
    const last = begun(read)
    if (x % 10) continue
    const answer = await last
    expect((Array.isArray(answer) ? answer[0] : answer).x).toBe(x)
  }
})
