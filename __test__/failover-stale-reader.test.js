'use strict'

// A master is demoted behind its name, its own replication is broken, and nobody cuts its connections:
// it would answer reads with old versions for ever, and publish nothing.

const { freePort, RedisServer } = require('./harness/redis.js')
const { Managers } = require('./harness/managers.js')
const { TcpProxy } = require('./harness/proxy.js')
const { createdBy } = require('./harness/sessions.js')
const { sleep, until } = require('./harness/until.js')

const LEFT_WITHIN_MS = 5000

const managers = new Managers()
let demoted
let promoted
let name

beforeAll(async () => {
  ;[demoted, promoted] = await Promise.all([RedisServer.start(), RedisServer.start()])
  name = await TcpProxy.start(demoted.port)
})
afterAll(async () => {
  await managers.close()
  await name.stop()
  await Promise.all([demoted.stop(), promoted.stop()])
})

/** `promoted` has what `demoted` has, and is the server of that name for new connections. */
async function moveName() {
  const replica = promoted.client()
  await replica.replicaof('127.0.0.1', demoted.port)
  await until(async () => (await replica.role())[3] === 'connected')
  await replica.replicaof('NO', 'ONE')
  name.target = promoted.port
  await demoted.client().replicaof('127.0.0.1', await freePort())
}

test('reads, the cache and the subscriber have left it within 5 s', async () => {
  const reader = managers.open(name.url)
  const cached = managers.open(name.url, { cache: {} })
  const subscriber = managers.open(name.url)
  const { session_id: id } = await createdBy(reader, { round: 0 })
  const heard = []
  subscriber.subscribeToUpdates((_id, { round }) => heard.push(round))
  await subscriber.subscribed()
  await cached.getSession(id)
  // A subscriber catches up on what it has heard of.
  const write = (manager, round) => manager.modifySession(id, (state) => ({ ...state, round }))
  await write(reader, 1)
  await until(() => heard.at(-1) === 1)

  await moveName()
  const moved = performance.now()
  const writer = managers.open(promoted.url)
  await write(writer, 2)
  // Both read all the time: the question for the role goes out only together with a request.
  const left = { reader: Infinity, cached: Infinity, subscriber: Infinity }
  const seen = (who, round) => {
    if (round === 2) left[who] = Math.min(left[who], performance.now() - moved)
  }
  await until(async () => {
    seen('reader', (await reader.getSession(id)).round)
    seen('cached', (await cached.getSession(id)).round)
    seen('subscriber', heard.at(-1))
    return Object.values(left).every((time) => time < Infinity)
  }, 2 * LEFT_WITHIN_MS).catch(() => {})
  const late = Object.entries(left).filter(([, time]) => time > LEFT_WITHIN_MS)
  expect(late).toEqual([])

  // And they stay.
  await write(writer, 3)
  await until(() => heard.at(-1) === 3)
  expect(await reader.getSession(id)).toMatchObject({ round: 3 })
  await until(async () => (await cached.getSession(id)).round === 3)
  const before = name.connections
  await sleep(300)
  expect(name.connections).toBe(before)
}, 30_000)
