'use strict'

const { ClosedError, OutcomeUnknownError, RedisUnavailableError } = require('..')
const { createRedisClient } = require('..')
const { Outage, outcomeOf } = require('./harness/outage.js')
const { makeState } = require('./harness/sessions.js')
const { sleep, until } = require('./harness/until.js')

const outage = Outage.use()

describe('the connection goes away', () => {
  test('a reset in the middle of many calls is noticed by none of them', async () => {
    const manager = await outage.connected()
    const states = await Promise.all(Array.from({ length: 20 }, () => outage.given()))
    for (let round = 1; round <= 3; round++) {
      const calls = states.flatMap((state) => [
        manager.updateSession(state.session_id, state, round),
        manager.getSession(state.session_id),
      ])
      setImmediate(() => outage.proxy.reset())
      await Promise.all(calls)
      for (const { session_id } of states)
        expect((await outage.stored(session_id)).version).toBe(round + 1)
    }
    expect(outage.proxy.connections).toBeGreaterThan(1)
  })

  test('a blackhole of 10 s: everything settles in time, and all is well afterwards', async () => {
    const timeout = 1500
    const manager = await outage.connected({ commandTimeoutMs: timeout })
    const { session_id: id } = await outage.given()
    const counts = { done: 0, [OutcomeUnknownError.name]: 0, [RedisUnavailableError.name]: 0 }
    let slowest = 0
    let over = false
    const traffic = Array.from({ length: 10 }, async (_, writer) => {
      for (let n = 0; !over; n++) {
        const started = performance.now()
        const state = makeState({ session_id: id, group_id: `${writer}-${n}` })
        counts[await outcomeOf(manager.updateSession(id, state))]++
        slowest = Math.max(slowest, performance.now() - started)
        await sleep(20)
      }
    })
    await until(() => counts.done > 20)
    outage.proxy.mode = 'blackhole'
    const before = counts.done
    await sleep(10_000)
    expect(counts.done).toBeLessThanOrEqual(before + 10)
    expect(counts.RedisUnavailableError).toBeGreaterThan(0)
    outage.proxy.mode = 'pass'
    const during = counts.done
    await until(() => counts.done > during + 50)
    over = true
    await Promise.all(traffic)
    expect(slowest).toBeLessThan(timeout + 1000)
    const applied = (await outage.stored(id)).version - 1
    expect(applied).toBeGreaterThanOrEqual(counts.done)
    expect(applied).toBeLessThanOrEqual(counts.done + counts.OutcomeUnknownError)
  })

  test('without a Redis from the start a call fails at its deadline, and not before', async () => {
    outage.proxy.mode = 'refuse'
    const manager = outage.manage(outage.proxy.url, { commandTimeoutMs: 700 })
    const started = performance.now()
    const read = outcomeOf(manager.getSession('any'))
    const written = outcomeOf(manager.createSession(makeState()))
    expect(await Promise.all([read, written])).toEqual([
      RedisUnavailableError.name,
      RedisUnavailableError.name, // Not sent: nothing is unknown about it.
    ])
    expect(performance.now() - started).toBeGreaterThan(650)
    expect(performance.now() - started).toBeLessThan(1700)
  })

  test('a call waits for a Redis that comes up within its deadline', async () => {
    await outage.server.kill()
    const manager = outage.manage(outage.server.url)
    const state = makeState()
    const created = manager.createSession(state)
    await sleep(300)
    await outage.server.up()
    await created
    expect((await manager.getSession(state.session_id)).version).toBe(1)
  })

  test('calls go through a restart of Redis', async () => {
    const manager = outage.manage(outage.server.url)
    const states = await Promise.all(Array.from({ length: 20 }, () => outage.given()))
    await manager.getSession('any')
    await outage.server.kill()
    const calls = states.map((state) => manager.updateSession(state.session_id, state, 1))
    await sleep(200)
    await outage.server.up()
    await Promise.all(calls)
    for (const { session_id } of states) expect((await outage.stored(session_id)).version).toBe(2)
  })

  test('reconnecting goes on for longer than any back-off, and never ends', async () => {
    const manager = await outage.connected({ commandTimeoutMs: 3000 })
    outage.proxy.mode = 'refuse'
    outage.proxy.reset()
    await until(() => outage.proxy.connections > 1)
    await sleep(6000)
    const before = outage.proxy.connections
    await until(() => outage.proxy.connections > before, 2500)
    outage.proxy.mode = 'pass'
    expect(await manager.getSession('any')).toBeNull()
  })

  test('a connection that falls silent costs time, and neither a read nor an update', async () => {
    const manager = await outage.connected()
    const state = await outage.given()
    const states = await Promise.all(Array.from({ length: 400 }, () => outage.given()))
    outage.proxy.strand()
    const several = manager.getSessions([state.session_id, 'none'])
    const read = manager.getSession(state.session_id)
    const update = manager.updateSession(state.session_id, { ...state, total_time_ms: 5 }, 1)
    const updates = states.map((one) => manager.updateSession(one.session_id, one, 1))
    expect(await several).toMatchObject([{ session_id: state.session_id }, null])
    expect(await read).toMatchObject({ session_id: state.session_id })
    await Promise.all([update, ...updates])
    expect(await outage.stored(state.session_id)).toMatchObject({ version: 2, total_time_ms: 5 })
    const updated = await manager.getSessions(states.map(({ session_id }) => session_id))
    expect(updated.map(({ version }) => version)).toEqual(Array(400).fill(2))
  })

  test('no deadline is missed while Redis answers nobody', async () => {
    const client = createRedisClient(outage.proxy.url)
    const manager = outage.manage(client)
    const other = outage.manage(client, { commandTimeoutMs: 600 })
    const state = await outage.given()
    await manager.getSession(state.session_id)
    await outage.redis.call('CLIENT', 'PAUSE', '3500')
    const update = manager.updateSession(state.session_id, state, 1)
    let isDone = false
    update.finally(() => {
      isDone = true
    })
    let slowest = 0
    while (!isDone) {
      const started = performance.now()
      await outcomeOf(other.getSession('any'))
      slowest = Math.max(slowest, performance.now() - started)
    }
    await update
    expect(slowest).toBeLessThan(1000)
    await client.quit()
  })

  test('updates survive connections that are killed again and again', async () => {
    const manager = await outage.connected()
    const states = await Promise.all(Array.from({ length: 20 }, () => outage.given()))
    let updates = 0
    const counts = await Promise.all(
      states.map(async ({ session_id: id }) => {
        for (let count = 1; count <= 50; count++) {
          const current = await manager.getSession(id)
          await manager.updateSession(id, { ...current, count }, current.version)
          if (++updates % 100 === 0) outage.proxy.reset()
        }
        return (await manager.getSession(id)).count
      }),
    )
    expect(counts).toEqual(Array(20).fill(50))
    const stored = await Promise.all(states.map(({ session_id: id }) => outage.stored(id)))
    expect(stored.map(({ version }) => version)).toEqual(Array(20).fill(51))
  })

  test('close() settles what is in flight and leaves no connection behind', async () => {
    const manager = await outage.connected()
    const state = await outage.given()
    const calls = Array.from({ length: 50 }, () => manager.getSession(state.session_id))
    calls.push(manager.updateSession(state.session_id, state, 1))
    calls.push(manager.broadcastToSession(state.session_id, 'bye'))
    await null // They are sent.
    const closed = manager.close()
    const settled = await Promise.allSettled(calls)
    expect(settled.map(({ status }) => status)).toEqual(Array(52).fill('fulfilled'))
    await closed
    await until(async () => !String(await outage.redis.client('LIST')).includes('synckairos'))
  })

  test('close() does not wait for answers that do not come', async () => {
    const manager = await outage.connected()
    outage.proxy.strand()
    const broadcast = outcomeOf(manager.broadcastToSession('s', 1))
    const update = outcomeOf(manager.updateSession('t', makeState({ session_id: 't' }), 1))
    const behind = outcomeOf(manager.updateSession('t', makeState({ session_id: 't' }), 2))
    const read = outcomeOf(manager.getSession('s'))
    await null // They are sent, but for the one that waits for another of its session.
    const started = performance.now()
    await manager.close()
    expect(performance.now() - started).toBeLessThan(1500)
    expect(await broadcast).toBe(OutcomeUnknownError.name)
    expect(await update).toBe(OutcomeUnknownError.name)
    expect(await behind).toBe(ClosedError.name)
    expect(await read).not.toBe('done')
  })

  test('a call that was closed upon is settled, not left', async () => {
    outage.proxy.mode = 'refuse'
    const manager = outage.manage(outage.proxy.url)
    const calls = Array.from({ length: 10 }, () => outcomeOf(manager.getSession('any')))
    await until(() => outage.proxy.connections > 0)
    await manager.close()
    expect(new Set(await Promise.all(calls))).toEqual(new Set([ClosedError.name]))
  })
})

describe('Redis changes under our feet', () => {
  test('SCRIPT FLUSH under load: no caller notices', async () => {
    const manager = await outage.connected()
    const states = await Promise.all(Array.from({ length: 10 }, () => outage.given()))
    let over = false
    let flushes = 0
    const flushing = (async () => {
      for (; !over; flushes++) await outage.redis.script('FLUSH')
    })()
    await Promise.all(
      states.map(async (state) => {
        for (let version = 1; version <= 60; version++) {
          await manager.updateSession(state.session_id, state, version)
        }
      }),
    )
    over = true
    await flushing
    expect(flushes).toBeGreaterThan(10)
    for (const { session_id } of states) expect((await outage.stored(session_id)).version).toBe(61)
  })

  test('updates wait while Redis is a replica, and are written when it no longer is', async () => {
    const manager = await outage.connected()
    const states = await Promise.all(Array.from({ length: 10 }, () => outage.given()))
    await outage.redis.replicaof('127.0.0.1', 1)
    const updates = states.map((state) => manager.updateSession(state.session_id, state, 1))
    const fresh = makeState()
    const created = manager.createSession(fresh)
    let settled = 0
    for (const update of updates) update.then(() => settled++)
    await until(() => outage.proxy.connections > 2) // It looks for another server again and again.
    expect(settled).toBe(0)
    await outage.redis.replicaof('NO', 'ONE')
    await Promise.all([...updates, created])
    for (const { session_id } of states) expect((await outage.stored(session_id)).version).toBe(2)
    expect((await outage.stored(fresh.session_id)).version).toBe(1)
  })

  test('chaos: what was acknowledged was applied once, what is unknown at most once', async () => {
    const timing = { commandTimeoutMs: 2500 }
    const through = await Promise.all(Array.from({ length: 3 }, () => outage.connected(timing)))
    const all = [...through, outage.manage(outage.server.url, timing)]
    const { session_id: id } = await outage.given()
    const counts = { done: 0 }
    let over = false
    const writers = Array.from({ length: 12 }, async (_, writer) => {
      const manager = all[writer % all.length]
      for (let n = 0; !over; n++) {
        const state = makeState({ session_id: id, group_id: `${writer}-${n}` })
        const current = writer % 2 ? await manager.getSession(id).catch(() => null) : null
        const outcome = await outcomeOf(manager.updateSession(id, state, current?.version))
        counts[outcome] = (counts[outcome] ?? 0) + 1
        await sleep(Math.random() * 5)
      }
    })
    for (let round = 0; round < 25; round++) {
      await sleep(50 + Math.random() * 200)
      outage.proxy.mode = 'swallow'
      await sleep(Math.random() * 20)
      outage.proxy.mode = 'pass'
      outage.proxy.reset()
    }
    over = true
    await Promise.all(writers)
    const applied = (await outage.stored(id)).version - 1
    const unknown = counts[OutcomeUnknownError.name] ?? 0
    expect(counts.done).toBeGreaterThan(100)
    expect(applied).toBeGreaterThanOrEqual(counts.done)
    expect(applied).toBeLessThanOrEqual(counts.done + unknown)
  })
})
