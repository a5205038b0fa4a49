'use strict'

const { once } = require('node:events')
const { Queue } = require('bullmq')
const { DBWriteQueue, RedisStateManager, createRedisClient } = require('..')
const { blocksOf, commandsOf } = require('./harness/documentation.js')
const { PostgresServer } = require('./harness/postgres.js')
const { TcpProxy } = require('./harness/proxy.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { RedisServer } = require('./harness/redis.js')
const { refusalOf } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

// What docs/operations.md says that a user needs, in this order.
const [SESSIONS, REPEATS, AUDIT, ADOPTION, WAITING, EXPIRY, WARNINGS] = blocksOf(
  'docs/operations.md',
)
  .filter(({ language }) => language === 'sh')
  .flatMap(commandsOf)
  .map((command) => command.match(/[~&+][^\s']+/g))

let server
let admin

beforeAll(async () => {
  server = await RedisServer.start()
  admin = server.client()
  const user = (name, ...rules) => admin.acl('SETUSER', name, 'on', '>secret', ...rules.flat())
  await user('least', SESSIONS)
  await user('fenced', SESSIONS, REPEATS)
  await user('waiting', SESSIONS, WAITING)
  await user('announcing', SESSIONS, EXPIRY)
  await user('audited', SESSIONS, AUDIT)
  await user('adopting', SESSIONS, AUDIT, ADOPTION, WARNINGS)
})
afterAll(() => server.stop())

const urlFor = (user, port = server.port) => `redis://${user}:secret@127.0.0.1:${port}`

test('a user with the documented permissions and no more can do everything', async () => {
  const manager = new RedisStateManager(urlFor('least'))
  const heard = []
  manager.subscribeToUpdates((_id, state) => heard.push(state?.version ?? null))
  manager.subscribeToWebSocket((_id, message) => heard.push(message))
  await manager.subscribed()
  const state = makeState()
  const id = state.session_id
  await manager.createSession(state)
  await manager.updateSession(id, state, 1)
  await manager.modifySession(id, (s) => s)
  expect((await manager.getSessions([id]))[0].version).toBe(3)
  expect(await manager.touchSession(id)).toBe(true)
  await manager.broadcastToSession(id, 'hello')
  await manager.deleteSession(id)
  expect(await manager.getSession(id)).toBeNull()
  // An answer to a later command on the same server: what was published before has arrived.
  await manager.broadcastToSession(id, 'end')
  while (heard.at(-1) !== 'end') await new Promise(setImmediate)
  expect(heard).toEqual([1, 2, 3, 'hello', null, 'end'])
  await manager.close()
})

test('a user with the permission documented for it can wait for replicas', async () => {
  const replicas = { count: 1, timeoutMs: 50 }
  const manager = new RedisStateManager(urlFor('waiting'), null, null, { replicas })
  const error = await refusalOf(() => manager.createSession(makeState()))
  expect(error.message).toContain('0 of 1 replicas')
  await manager.close()
})

test('a user with the permissions documented for it can tell of expired sessions', async () => {
  const options = { ttlSeconds: 1, announceExpiry: true }
  const manager = new RedisStateManager(urlFor('announcing'), null, null, options)
  const heard = []
  manager.subscribeToUpdates((id, state) => heard.push([id, state]))
  await manager.subscribed()
  const [expired, deleted] = [makeState(), makeState()]
  await manager.createSession(deleted)
  await manager.deleteSession(deleted.session_id)
  await manager.createSession(expired)
  await until(() => heard.some(([id, state]) => id === expired.session_id && state === null))
  await manager.close()
})

test('without those permissions a write is refused before anything changes', async () => {
  const logger = recordingLogger()
  const options = { ttlSeconds: 1, announceExpiry: true, logger }
  const manager = new RedisStateManager(urlFor('least'), null, null, options)
  const state = makeState()
  await expect(manager.createSession(state)).rejects.toMatchObject({ code: 'REDIS_REPLY' })
  expect(await manager.getSession(state.session_id)).toBeNull()
  await until(() => logger.told.error.length > 0)
  expect(logger.told.error[0].message).toContain('announceExpiry')
  await manager.close()
})

test('a user with the permissions documented for the audit can do all of that', async () => {
  const postgres = await PostgresServer.start()
  const databaseUrl = await postgres.createDatabase()
  await admin.acl('LOG', 'RESET')
  const queue = new DBWriteQueue(urlFor('audited'), { databaseUrl, attempts: 1, backoffDelay: 10 })
  const manager = new RedisStateManager(urlFor('audited'), null, queue)
  try {
    const retrying = new Promise((resolve) => queue.once('retrying', resolve)) // No tables yet.
    const state = makeState()
    await manager.createSession(state)
    await retrying
    await queue.migrate()
    await manager.updateSession(state.session_id, state, 1)
    await manager.deleteSession(state.session_id)
    await queue.drained()
    const failed = once(queue, 'failed')
    await queue.queueWrite('s', { ...state, own: 'a\0b' }, 'x') // PostgreSQL has no such text.
    await failed
    const [{ id }] = await queue.getFailed()
    const again = once(queue, 'failed')
    expect(await queue.retryFailed()).toBe(1)
    await again
    expect(await queue.removeFailed([id])).toBe(1)
    expect(await queue.getMetrics()).toMatchObject({ completed: 3, failed: 0 })
  } finally {
    await Promise.all([manager.close(), queue.close()])
    await postgres.stop()
  }
  const refused = (await admin.acl('LOG')).map((entry) => entry[entry.indexOf('object') + 1])
  expect(refused.filter((command) => !/^(client|config)\|/.test(command))).toEqual([])
})

test('a user with the permissions documented for it can take over what BullMQ has', async () => {
  const connection = { host: '127.0.0.1', port: server.port }
  const old = new Queue('db-writes', { connection })
  const state = makeState()
  const job = { sessionId: state.session_id, state, eventType: 'x', timestamp: 1 }
  await old.add('x', job)
  await old.add('x', job, { delay: 3_600_000 })
  await old.add('no record of a session', {})
  await old.close()
  const databaseUrl = 'postgres://127.0.0.1:1/nowhere' // For now the records only wait.
  const logger = recordingLogger()
  const queue = new DBWriteQueue(urlFor('adopting'), { databaseUrl, logger })
  const { adopted, skipped } = await queue.adoptBullMQ()
  expect([adopted, skipped.length]).toEqual([2, 1])
  await until(() => logger.told.warn.some(({ message }) => message.includes('persists nothing')))
  await queue.close(true)
})

test.each([
  ['may not end its old connection', 'least', 'OUTCOME_UNKNOWN'],
  ['may end its old connection', 'fenced', undefined],
])('a user that %s: an unlocked update whose answer was lost', async (_what, user, code) => {
  const proxy = await TcpProxy.start(server.port)
  const manager = new RedisStateManager(urlFor(user, proxy.port))
  const state = makeState()
  await manager.createSession(state)
  await manager.updateSession(state.session_id, state) // Redis knows the script from here on.
  proxy.mode = 'swallow'
  const update = manager.updateSession(state.session_id, state).catch((error) => error)
  await until(async () => JSON.parse(await admin.get(`session:${state.session_id}`)).version === 3)
  proxy.mode = 'pass'
  proxy.reset()
  expect((await update)?.code).toBe(code)
  expect((await manager.getSession(state.session_id)).version).toBe(3)
  await manager.close()
  await proxy.stop()
})

test('a user that may not publish changes nothing', async () => {
  await admin.acl('SETUSER', 'mute', 'on', '>secret', '~session:*', '~synckairos:*', '+@all')
  await admin.acl('SETUSER', 'mute', 'resetchannels')
  const manager = new RedisStateManager(urlFor('mute'))
  const state = makeState()
  const id = state.session_id
  await expect(manager.createSession(state)).rejects.toMatchObject({ code: 'REDIS_REPLY' })
  expect(await admin.get(`session:${id}`)).toBeNull()
  await admin.set(`session:${id}`, JSON.stringify(state))
  await expect(manager.updateSession(id, state, 1)).rejects.toMatchObject({ code: 'REDIS_REPLY' })
  await expect(manager.deleteSession(id)).rejects.toMatchObject({ code: 'REDIS_REPLY' })
  expect(await admin.get(`session:${id}`)).toBe(JSON.stringify(state))
  await manager.close()
})

test('a wrong password is told by its deadline, and is not in the message', async () => {
  const client = createRedisClient(`redis://least:wrong-one@127.0.0.1:${server.port}`, {
    commandTimeoutMs: 500,
  })
  const error = await client.ping().catch((error) => error)
  expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
  expect(error.message).toMatch(/WRONGPASS|authentication/i)
  expect(error.message).not.toMatch(/wrong-one/)
  await client.quit()
})

test('a command that the user may not run is refused in the words of Redis', async () => {
  const client = createRedisClient(urlFor('least'))
  await expect(client.call('CONFIG', 'GET', '*')).rejects.toMatchObject({
    code: 'REDIS_REPLY',
    message: expect.stringMatching(/^NOPERM /),
  })
  await client.quit()
})

test('the name, the password and the database of a URL are used', async () => {
  await admin.acl('SETUSER', 'third', 'on', '>secret', ...SESSIONS, '+select')
  const manager = new RedisStateManager(`${urlFor('third')}/3`)
  const state = makeState()
  await manager.createSession(state)
  expect(await manager.getSession(state.session_id)).toMatchObject({ version: 1 })
  const clients = String(await admin.client('LIST')).split('\n')
  const ours = clients.filter((line) => line.includes(' user=third '))
  expect(ours.map((line) => / db=(\d+) /.exec(line)[1])).toEqual(['3'])
  await manager.close()
  await admin.acl('DELUSER', 'third')
})
