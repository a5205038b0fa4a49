'use strict'

const { DBWriteQueue, RedisStateManager, createRedisClient } = require('..')
const { ClusterGroup } = require('./harness/cluster.js')
const { blocksOf, commandsOf } = require('./harness/documentation.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { refusalOf } = require('./harness/refusal.js')
const { Managers } = require('./harness/managers.js')
const { makeState } = require('./harness/sessions.js')
const { SqliteFile } = require('./harness/sqlite.js')
const { until } = require('./harness/until.js')

// What docs/operations.md says that a user needs, a list of rules for each purpose.
const DOCUMENTED = blocksOf('docs/operations.md')
  .filter(({ language }) => language === 'sh')
  .flatMap(commandsOf)
  .map((command) => command.match(/[~&+][^\s']+/g) ?? [])
const rulesWith = (rule) => DOCUMENTED.find((rules) => rules.includes(rule))
const [SESSIONS, REPEATS, AUDIT, WARNINGS, CLUSTER, LEASES] = [
  '+mget',
  '+client',
  '+xadd',
  '+config|get',
  '+cluster|nodes',
  '+hgetall',
].map(rulesWith)

const managers = new Managers()
let group
let admins

beforeAll(async () => {
  group = await ClusterGroup.start({ replicas: 0 })
  admins = group.nodes.map((node) => node.client())
}, 30_000)
afterAll(() => group?.stop())
afterEach(() => managers.close())

/** Makes a user on all nodes. Returns the URL by which it speaks. */
async function user(name, ...rules) {
  const words = ['reset', 'on', '>s3cret', ...rules.flat()]
  await Promise.all(admins.map((admin) => admin.call('ACL', 'SETUSER', name, ...words)))
  return `redis-cluster://${name}:s3cret@127.0.0.1:${group.nodes[0].port}`
}

/** The commands and channels that were denied to a user. */
async function denied(name) {
  const logs = await Promise.all(admins.map((admin) => admin.call('ACL', 'LOG')))
  const entries = logs.flat().filter((entry) => entry.includes(name))
  return entries.map((entry) => entry[entry.indexOf('object') + 1])
}

const managerOf = (client) =>
  managers.open(client, { commandTimeoutMs: 1000, logger: recordingLogger() })

const connect = (url) => {
  const client = managers.keep(createRedisClient(url, { commandTimeoutMs: 1000 }))
  client.on('error', () => {})
  return client
}

test('a user with the documented permissions and no more can do everything', async () => {
  const url = await user('least', SESSIONS, REPEATS, AUDIT, WARNINGS, CLUSTER, LEASES)
  const file = new SqliteFile()
  const queue = new DBWriteQueue(url, { databaseUrl: file.url, migrate: true })
  const manager = new RedisStateManager(url, null, queue)
  for (const one of [manager, queue, file]) managers.keep(one)
  const heard = []
  manager.subscribeToUpdates((_id, state) => heard.push(state?.version ?? null))
  manager.subscribeToWebSocket((_id, message) => heard.push(message))
  await manager.subscribed()
  // Every partition, and so every node, gets some of them.
  const states = Array.from({ length: 300 }, () => makeState())
  for (const state of states) await manager.createSession(state)
  for (const state of states) await manager.modifySession(state.session_id, (s) => s)
  const ids = states.map(({ session_id }) => session_id)
  expect((await manager.getSessions(ids)).every(({ version }) => version === 2)).toBe(true)
  expect(await manager.touchSession(ids[0])).toBe(true)
  await Promise.all(ids.map((id) => manager.broadcastToSession(id, 'hello')))
  await Promise.all(ids.map((id) => manager.deleteSession(id)))
  await until(() => heard.length === 4 * ids.length)
  await queue.drained()
  const client = connect(url)
  await client.set('session:own', '1')
  expect(await client.get('session:own')).toBe('1')
  expect(await denied('least')).toEqual([])
})

test.each(['cluster|nodes', 'cluster|slots'])(
  'an error says that the user lacks +%s',
  async (command) => {
    const client = connect(await user('lacking', '+@all', '~*', '&*', `-${command}`))
    const manager = managerOf(client)
    const calls = [() => manager.getSession('a'), () => client.get('a')]
    for (const error of await Promise.all(calls.map(refusalOf))) {
      expect(error.name).toBe('RedisUnavailableError')
      expect(error.message).toMatch(/127\.0\.0\.1:\d+: NOPERM /)
      expect(error.message).toContain(`'${command}'`)
      expect(error.stack).not.toContain('s3cret')
    }
  },
)

test('an error of the subscription says that the user lacks +ssubscribe', async () => {
  const client = connect(await user('deaf', '+@all', '~*', '&*', '-ssubscribe'))
  const manager = managerOf(client)
  manager.subscribeToUpdates(() => {})
  const error = await refusalOf(() => manager.subscribed())
  expect(error.message).toMatch(/127\.0\.0\.1:\d+: NOPERM .*'ssubscribe'/)
})

test('a user that may not publish changes nothing', async () => {
  const client = connect(await user('mute', '+@all', '~*', '&*', '-spublish'))
  const manager = managerOf(client)
  const state = makeState()
  const refusals = await Promise.all([
    refusalOf(() => manager.createSession(state)),
    refusalOf(() => manager.broadcastToSession(state.session_id, 'x')),
  ])
  expect(refusals.map(({ name }) => name)).toEqual(['RedisReplyError', 'RedisReplyError'])
  expect(await manager.getSession(state.session_id)).toBeNull()
})

test('a node that refuses HELLO is known as a part of a cluster, by a plain URL, too', async () => {
  await user('old', '+@all', '~*', '&*', '-hello')
  const client = connect(`redis://old:s3cret@127.0.0.1:${group.nodes[0].port}`)
  const manager = managerOf(client)
  const states = Array.from({ length: 30 }, () => makeState())
  await Promise.all(states.map((state) => manager.createSession(state)))
  const counts = await Promise.all(admins.map((admin) => admin.dbsize()))
  expect(counts.every((count) => count > 1)).toBe(true)
})
