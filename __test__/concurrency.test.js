'use strict'

const { ConcurrencyError } = require('../index.js')
const { startScript } = require('./harness/child.js')
const { Managers } = require('./harness/managers.js')
const { RedisServer } = require('./harness/redis.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const PROCESSES = 4
const WRITERS = 50
let server
let manager
const managers = new Managers()

beforeAll(async () => {
  server = await RedisServer.start()
})

afterAll(async () => {
  await server.stop()
})

beforeEach(() => {
  manager = managers.open(server.url)
})

afterEach(async () => {
  await managers.close()
})

/**
 * Lets so many processes, of so many writers each, increment the count of one session.
 *
 * @param {string} script in `processes/`
 * @param {number} increments of each writer
 */
async function contend(script, increments) {
  const state = makeState({ count: 0 })
  await manager.createSession(state)
  const env = {
    REDIS_URL: server.url,
    SESSION_ID: state.session_id,
    WRITERS: String(WRITERS),
    INCREMENTS: String(increments),
  }
  const source = `require('./__test__/processes/${script}')`
  const contenders = Array.from({ length: PROCESSES }, () => {
    const { child, ended } = startScript(source, { env, timeoutMs: 150_000, ipc: true })
    const messages = []
    const ready = new Promise((resolve, reject) => {
      child.on('message', (message) => {
        messages.push(message)
        resolve()
      })
      ended.then(({ stderr }) => reject(new Error(`it ended early: ${stderr}`)), reject)
    })
    return { child, ended, messages, ready }
  })
  await Promise.all(contenders.map(({ ready }) => ready))
  for (const { child } of contenders) child.send('go')
  for (const { ended } of contenders) {
    expect(await ended).toMatchObject({ code: 0, stderr: '' })
  }
  const reports = contenders.map(({ messages }) => messages.at(-1))
  return {
    acknowledged: reports.reduce((sum, { done }) => sum + done, 0),
    conflicts: reports.reduce((sum, { conflicts }) => sum + conflicts, 0),
    final: await manager.getSession(state.session_id),
  }
}

it('4 processes of 50 writers lose none of 20 000 locked increments', async () => {
  const total = PROCESSES * WRITERS * 100
  const { acknowledged, conflicts, final } = await contend('locked-increments.js', 100)
  expect(acknowledged).toBe(total)
  expect(final).toMatchObject({ count: total, version: total + 1 })
  // They were in each other's way, or this would show nothing: most of them at the start, and then
  // as often as their pauses, which are random, let them.
  expect(conflicts).toBeGreaterThan((PROCESSES * WRITERS) / 2)
}, 180_000)

it('the same by reading, comparing and writing apart loses updates', async () => {
  const { acknowledged, final } = await contend('naive-increments.js', 5)
  expect(acknowledged).toBe(PROCESSES * WRITERS * 5)
  expect(final.count).toBeLessThan(acknowledged)
}, 60_000)

it('exactly one of many writers of one version wins, in one process too', async () => {
  const others = Array.from({ length: 4 }, () => managers.open(server.url))
  const state = makeState()
  const id = state.session_id
  await manager.createSession(state)
  for (let version = 1; version <= 20; version++) {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 40 }, (_, writer) =>
        others[writer % 4].updateSession(id, { ...state, writer }, version),
      ),
    )
    const winners = outcomes.flatMap(({ status }, writer) => (status === 'fulfilled' ? writer : []))
    expect(winners).toHaveLength(1)
    for (const { reason } of outcomes.filter(({ status }) => status === 'rejected')) {
      expect(reason).toBeInstanceOf(ConcurrencyError)
      expect(reason).toMatchObject({ expectedVersion: version, actualVersion: version + 1 })
    }
    const read = await manager.getSession(id)
    expect(read).toMatchObject({ version: version + 1, writer: winners[0] })
  }
})

it('unlocked writers never take a version twice, nor back', async () => {
  const others = Array.from({ length: 4 }, () => managers.open(server.url))
  const state = makeState()
  const id = state.session_id
  const versions = []
  manager.subscribeToUpdates((heard, { version }) => heard === id && versions.push(version))
  await manager.subscribed()
  await manager.createSession(state)
  await Promise.all(
    Array.from({ length: 400 }, (_, writer) => others[writer % 4].updateSession(id, state)),
  )
  expect((await manager.getSession(id)).version).toBe(401)
  await manager.updateSession(id, state)
  await until(() => versions.length === 402)
  expect(versions).toEqual(Array.from({ length: 402 }, (_, index) => index + 1))
})

it('of many creations with ifAbsent exactly one succeeds', async () => {
  const others = Array.from({ length: 4 }, () => managers.open(server.url))
  const state = makeState()
  const outcomes = await Promise.allSettled(
    Array.from({ length: 40 }, (_, writer) =>
      others[writer % 4].createSession({ ...state, writer }, { ifAbsent: true }),
    ),
  )
  const winners = outcomes.flatMap(({ status }, writer) => (status === 'fulfilled' ? writer : []))
  expect(winners).toHaveLength(1)
  expect((await manager.getSession(state.session_id)).writer).toBe(winners[0])
  for (const { reason } of outcomes) {
    if (reason) expect(reason).toMatchObject({ code: 'SESSION_EXISTS' })
  }
})

it('modifySession of many at once counts each, where retries allow', async () => {
  const state = makeState({ count: 0 })
  await manager.createSession(state)
  const add = (current) => ({ ...current, count: current.count + 1 })
  await Promise.all(
    Array.from({ length: 20 }, () =>
      manager.modifySession(state.session_id, add, { retries: 100 }),
    ),
  )
  expect(await manager.getSession(state.session_id)).toMatchObject({ count: 20, version: 21 })
})

it('a read sees a write that was called before it and is not awaited', async () => {
  for (let round = 0; round < 50; round++) {
    const state = makeState()
    const writes = [manager.createSession(state)]
    const created = manager.getSession(state.session_id)
    writes.push(manager.updateSession(state.session_id, { ...state, total_time_ms: 1 }, 1))
    const updated = manager.getSession(state.session_id)
    writes.push(manager.deleteSession(state.session_id))
    const deleted = manager.getSession(state.session_id)
    await Promise.all(writes)
    expect(await created).toMatchObject({ version: 1 })
    expect(await updated).toMatchObject({ version: 2, total_time_ms: 1 })
    expect(await deleted).toBeNull()
  }
})

it('thousands of calls in flight are each answered with their own', async () => {
  const states = Array.from({ length: 300 }, () => makeState())
  await Promise.all(states.map((state) => manager.createSession(state)))
  const ids = Array.from({ length: 5000 }, (_, index) => states[(index * 7) % 300].session_id)
  const read = await Promise.all(ids.map((id) => manager.getSession(id)))
  expect(read.map(({ session_id }) => session_id)).toEqual(ids)
  await Promise.all(
    states.map((state) => manager.updateSession(state.session_id, { ...state, mine: true }, 1)),
  )
  const updated = await manager.getSessions(states.map(({ session_id }) => session_id))
  expect(updated.every(({ version, mine }) => version === 2 && mine)).toBe(true)
})
