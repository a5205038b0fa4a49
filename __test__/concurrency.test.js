'use strict'

const { startScript } = require('./harness/child.js')
const { Managers } = require('./harness/managers.js')
const { RedisServer } = require('./harness/redis.js')
const { makeState } = require('./harness/sessions.js')

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
