'use strict'

const { RedisStateManager } = require('..')
const { CallableProcess } = require('./harness/callable-process.js')
const { FakeServer } = require('./harness/fake-server.js')
const { Outage } = require('./harness/outage.js')
const { signal } = require('./harness/processes.js')
const { watchedClient } = require('./harness/reconnections.js')
const { bulk } = require('./harness/requests.js')
const { makeState } = require('./harness/sessions.js')
const { sleep, until } = require('./harness/until.js')

const outage = Outage.use()

/** 100 Mbit/s, in bytes. */
const FAST_ETHERNET = 12.5e6

describe('a narrow line', () => {
  afterEach(() => outage.redis.flushall())

  /** Sessions of 250 KB each. */
  const givenLarge = (count) =>
    Promise.all(Array.from({ length: count }, () => outage.given({ filler: 'x'.repeat(250_000) })))

  /** A client with the connections that it makes under load, and a manager on it. */
  async function loaded(options) {
    const watched = await watchedClient(outage.proxy)
    const manager = outage.manage(watched.client, options)
    for (let n = 0; n < 40; n++) await manager.getSession('none')
    return { manager, watched, connections: outage.proxy.connections }
  }

  test.each([
    [128, {}],
    [256, { commandTimeoutMs: 15_000 }],
    [256, { commandTimeoutMs: 15_000, cache: {} }],
  ])(
    '%i reads of 250 KB all succeed, on the connection that was there: %j',
    async (count, options) => {
      const states = await givenLarge(count)
      const { manager, watched, connections } = await loaded(options)
      outage.proxy.answers.bytesPerSecond = FAST_ETHERNET
      const found = await Promise.all(
        states.map(({ session_id }) => manager.getSession(session_id)),
      )
      expect(found.map((state) => state.session_id)).toEqual(states.map((one) => one.session_id))
      expect(watched.reconnections).toBe(0)
      expect(outage.proxy.connections).toBe(connections)
    },
  )

  test('several at once, 30 MB in one reply, succeed too', async () => {
    const states = await givenLarge(120)
    const { manager, watched, connections } = await loaded({ commandTimeoutMs: 10_000 })
    outage.proxy.answers.bytesPerSecond = FAST_ETHERNET
    const found = await manager.getSessions(states.map(({ session_id }) => session_id))
    expect(found.map((state) => state.session_id)).toEqual(states.map((one) => one.session_id))
    expect(watched.reconnections).toBe(0)
    expect(outage.proxy.connections).toBe(connections)
  })

  test('other calls on the same client are answered meanwhile, within their deadline', async () => {
    const states = await givenLarge(128)
    const { manager, watched } = await loaded({ commandTimeoutMs: 10_000 })
    const other = outage.manage(watched.client)
    const small = await outage.given()
    outage.proxy.answers.bytesPerSecond = FAST_ETHERNET
    let over = false
    const large = Promise.all(states.map(({ session_id }) => manager.getSession(session_id)))
    const ended = large.finally(() => {
      over = true
    })
    ended.catch(() => {})
    for (let version = 1; !over; version++) {
      // Each is rejected at its deadline of 5 s.
      expect((await other.getSession(small.session_id)).version).toBe(version)
      await other.updateSession(small.session_id, small, version)
      await other.broadcastToSession(small.session_id, 'still here')
    }
    await large
    expect(watched.reconnections).toBe(0)
  })

  test('one reply that takes longer than the stall time is none', async () => {
    const state = await outage.given({ filler: 'x'.repeat(600_000) })
    const { manager, watched, connections } = await loaded()
    outage.proxy.answers.bytesPerSecond = 200_000
    const started = performance.now()
    expect((await manager.getSession(state.session_id)).filler).toHaveLength(600_000)
    expect(performance.now() - started).toBeGreaterThan(2500)
    expect(watched.reconnections).toBe(0)
    expect(outage.proxy.connections).toBe(connections)
  })
})

describe('a peer', () => {
  let fake
  let manager

  beforeEach(async () => {
    fake = await FakeServer.start()
    manager = new RedisStateManager(fake.url)
    expect(await manager.getSession('none')).toBeNull()
  })
  afterEach(async () => {
    await manager.close()
    await fake.stop()
  })

  /** A reply of 300 bytes. */
  const REPLY = bulk(JSON.stringify({ ...makeState({ session_id: 's' }), participants: [] }))
  const PACE = { bytes: Math.ceil(REPLY.length / 30), everyMs: 100 }

  test('whose reply trickles for 3 s is not dead', async () => {
    fake.answer('GET', (connection) => {
      connection.drip(REPLY, PACE)
    })
    const started = performance.now()
    expect((await manager.getSession('s')).session_id).toBe('s')
    expect(performance.now() - started).toBeGreaterThan(2500)
    expect(fake.connections).toHaveLength(1)
  })

  test('that sends no byte for 2 s while it owes an answer is replaced', async () => {
    fake.answer('GET', ({ id }) => (id === 1 ? undefined : REPLY))
    const started = performance.now()
    expect((await manager.getSession('s')).session_id).toBe('s')
    expect(performance.now() - started).toBeGreaterThan(1900)
    expect(performance.now() - started).toBeLessThan(3500)
    expect(fake.connections).toHaveLength(2)
  })

  test('that falls silent in the middle of a reply is replaced', async () => {
    fake.answer('GET', ({ id }) => (id === 1 ? REPLY.subarray(0, 100) : REPLY))
    const started = performance.now()
    expect((await manager.getSession('s')).session_id).toBe('s')
    expect(performance.now() - started).toBeLessThan(3500)
    expect(fake.connections).toHaveLength(2)
  })

  test('that owes nothing may be silent', async () => {
    await sleep(4000)
    expect(await manager.getSession('none')).toBeNull()
    expect(fake.connections).toHaveLength(1)
  })
})

test('a process that is frozen for 3 s with calls in flight has their answers when it goes on', async () => {
  const frozen = new CallableProcess(
    `
    const { RedisStateManager } = require('./index.js')
    const manager = new RedisStateManager(process.env.REDIS_URL)
    let outcome
    Object.assign(calls, {
      connect: async () => { for (let n = 0; n < 40; n++) await manager.getSession('none') },
      begin: (states) => {
        const made = states.flatMap((state) => [
          manager.getSession(state.session_id),
          manager.updateSession(state.session_id, state, 1),
          manager.updateSession(state.session_id, state),
          manager.broadcastToSession(state.session_id, 'x'),
        ])
        outcome = Promise.allSettled(made)
      },
      end: async () => (await outcome).map(({ reason }) => String(reason ?? 'done')),
    })
  `,
    { REDIS_URL: outage.proxy.url },
  )
  try {
    const states = await Promise.all(Array.from({ length: 20 }, () => outage.given()))
    await frozen.call('connect')
    const { connections } = outage.proxy
    outage.proxy.answers.delayMs = 300
    await frozen.call('begin', states)
    await until(async () => (await outage.stored(states[19].session_id)).version === 3)
    signal(frozen.child.pid, 'SIGSTOP')
    await sleep(3000)
    signal(frozen.child.pid, 'SIGCONT')
    const outcomes = await frozen.call('end')
    expect(outcomes).toEqual(Array(80).fill('done'))
    for (const { session_id } of states) expect((await outage.stored(session_id)).version).toBe(3)
    expect(outage.proxy.connections).toBe(connections)
  } finally {
    await frozen.close()
  }
}, 20_000)
