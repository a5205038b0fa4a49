'use strict'

const { OutcomeUnknownError, RedisUnavailableError, createRedisClient } = require('..')
const { FakeServer } = require('./harness/fake-server.js')
const { Outage, outcomeOf } = require('./harness/outage.js')

const outage = Outage.use()

/** How late a call may settle, ms. */
const LATE = 300

/**
 * A call's outcome, after how long, and how late that was: behind its deadline and behind a timer
 * of that time, as this process may have something else to do.
 *
 * @param {number} deadlineMs
 * @param {() => Promise<unknown>} call
 */
async function timed(deadlineMs, call) {
  const started = performance.now()
  let timer
  const due = new Promise((resolve) => {
    timer = setTimeout(() => resolve(performance.now() - started), deadlineMs)
  })
  const outcome = await outcomeOf(call())
  const ms = performance.now() - started
  if (ms >= deadlineMs) return { outcome, ms, late: ms - (await due) }
  clearTimeout(timer)
  return { outcome, ms, late: 0 }
}

const latest = (settled) => Math.max(...settled.map(({ late }) => late))

describe('every call settles by its deadline, whatever is in front of it', () => {
  test.each([
    ['a long line', { bytesPerSecond: Number.POSITIVE_INFINITY }],
    ['a long and narrow line', { bytesPerSecond: 500_000 }],
  ])('10 000 reads of one session over %s', async (_line, { bytesPerSecond }) => {
    // Ten round trips: on a busy machine, 10 000 calls and the proxy's share of a thread take one to five.
    const manager = await outage.connected({ commandTimeoutMs: 4000 })
    const { session_id: id } = await outage.given()
    for (const line of [outage.proxy.requests, outage.proxy.answers]) {
      Object.assign(line, { delayMs: 200, bytesPerSecond })
    }
    const reads = Array.from({ length: 10_000 }, () => timed(4000, () => manager.getSession(id)))
    const settled = await Promise.all(reads)
    expect(latest(settled)).toBeLessThan(LATE)
    const outcomes = new Set(settled.map(({ outcome }) => outcome))
    outcomes.delete('done')
    outcomes.delete(RedisUnavailableError.name)
    expect([...outcomes]).toEqual([])
    expect(settled.some(({ outcome }) => outcome === 'done')).toBe(true)
  })

  test('10 000 reads with the default deadline, of which most cannot be answered in time', async () => {
    const manager = await outage.connected()
    const { session_id: id } = await outage.given()
    for (let n = 0; n < 40; n++) await manager.getSession(id)
    for (const line of [outage.proxy.requests, outage.proxy.answers]) {
      Object.assign(line, { delayMs: 200, bytesPerSecond: 500_000 })
    }
    const reads = Array.from({ length: 10_000 }, () => timed(5000, () => manager.getSession(id)))
    const settled = await Promise.all(reads)
    expect(latest(settled)).toBeLessThan(LATE)
  })

  test('2000 writes of one session over a long line: what is not done is said to be unsent or unknown', async () => {
    const manager = await outage.connected({ commandTimeoutMs: 3000 })
    const state = await outage.given()
    for (const line of [outage.proxy.requests, outage.proxy.answers]) {
      Object.assign(line, { delayMs: 200, bytesPerSecond: 500_000 })
    }
    const writes = Array.from({ length: 2000 }, () =>
      timed(3000, () => manager.updateSession(state.session_id, state)),
    )
    const settled = await Promise.all(writes)
    expect(latest(settled)).toBeLessThan(LATE)
    const count = (name) => settled.filter(({ outcome }) => outcome === name).length
    const [done, unknown] = [count('done'), count(OutcomeUnknownError.name)]
    expect(done + unknown + count(RedisUnavailableError.name)).toBe(2000)
    expect(done).toBeGreaterThan(0)
    // What was sent is still on the line, so this is the least that Redis will have written.
    expect((await outage.stored(state.session_id)).version - 1).toBeGreaterThanOrEqual(done)
    await manager.close()
    expect((await outage.stored(state.session_id)).version - 1).toBeLessThanOrEqual(done + unknown)
  })
})

describe('calls of different deadlines on one client', () => {
  const DEADLINES = [300, 3000, 800, 1500]

  /** A manager for each deadline, all on one client that is connected. */
  async function managersOf(url) {
    const client = createRedisClient(url)
    const managers = DEADLINES.map((deadline) => ({
      deadline,
      manager: outage.manage(client, { commandTimeoutMs: deadline }),
    }))
    await client.ping()
    return managers
  }

  /** So many calls of each manager at once are all rejected at their deadline. */
  async function expectPunctual(managers, count, call) {
    const calls = Array.from({ length: count }, () => managers).flat()
    const check = async ({ manager, deadline }) => {
      const { outcome, ms, late } = await timed(deadline, () => call(manager))
      expect(outcome).toBe(RedisUnavailableError.name)
      expect(ms).toBeGreaterThan(deadline - 20)
      expect(late).toBeLessThan(LATE)
    }
    await Promise.all(calls.map(check))
  }

  test('settle each at its own, where nothing is answered', async () => {
    const managers = await managersOf(outage.proxy.url)
    outage.proxy.mode = 'blackhole'
    await expectPunctual(managers, 100, (manager) => manager.getSession('none'))
  })

  test('settle each at its own, where nobody listens', async () => {
    const managers = await managersOf(outage.proxy.url)
    outage.proxy.mode = 'refuse'
    outage.proxy.reset()
    await expectPunctual(managers, 100, (manager) => manager.getSession('none'))
  })

  test('settle each at its own, where writes are refused', async () => {
    const fake = await FakeServer.start()
    try {
      fake.answer('EVAL', () => '-NOREPLICAS Not enough good replicas to write.\r\n')
      fake.answer('EVALSHA', () => '-NOREPLICAS Not enough good replicas to write.\r\n')
      const managers = await managersOf(fake.url)
      await expectPunctual(managers, 10, (manager) => manager.deleteSession('s'))
    } finally {
      await fake.stop()
    }
  })

  test('a short one is not kept by a long one whose answer never comes', async () => {
    const fake = await FakeServer.start()
    try {
      const client = createRedisClient(fake.url)
      const [long, short] = [4000, 500].map((commandTimeoutMs) =>
        outage.manage(client, { commandTimeoutMs }),
      )
      await client.ping()
      fake.answer('GET', () => undefined)
      const first = timed(4000, () => long.getSession('a'))
      const second = await timed(500, () => short.getSession('b'))
      expect(second.outcome).toBe(RedisUnavailableError.name)
      expect(second.ms).toBeGreaterThan(480)
      expect(second.late).toBeLessThan(LATE)
      fake.answer('GET', () => '_\r\n')
      expect((await first).outcome).toBe('done')
    } finally {
      await fake.stop()
    }
  })
})
