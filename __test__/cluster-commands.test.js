'use strict'

const { createRedisClient } = require('..')
const { ClusterGroup } = require('./harness/cluster.js')
const { refusalOf } = require('./harness/refusal.js')

let group
const clients = []

beforeAll(async () => {
  group = await ClusterGroup.start()
}, 30_000)
afterAll(() => group.stop())
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.quit()))
  await group.flush()
})

function open(url = group.url, options = {}) {
  const client = createRedisClient(url, options)
  client.on('error', () => {})
  clients.push(client)
  return client
}

/** The owner of a key's slot, and another master. */
async function ownersOf(client, key) {
  const slot = Number(await client.call('CLUSTER', 'KEYSLOT', key))
  const owner = await group.masterOf(slot)
  const other = (await group.masters()).find((node) => node !== owner)
  return { slot, owner, other }
}

describe.each([
  ['its nodes', () => group.url],
  ['the plain URL of one of them', () => group.nodes[1].url],
])('a cluster that is told by %s', (_what, url) => {
  test('commands go to the nodes of their keys, from the first one on and in order', async () => {
    const client = open(url())
    const keys = Array.from({ length: 100 }, (_, at) => `k${at}`)
    const sets = keys.map((key, at) => client.set(key, at))
    const reads = keys.map((key) => client.get(key))
    expect(await Promise.all(sets)).toEqual(keys.map(() => 'OK'))
    expect(await Promise.all(reads)).toEqual(keys.map((_, at) => `${at}`))
  })

  test('a pipeline is split, and its replies are in order', async () => {
    const client = open(url())
    const replies = await client.pipeline().set('a', 1).get('b').mget('a', 'b').get('a').exec()
    const [[, set], [, missing], [crossed], [, got]] = replies
    expect([set, missing, got]).toEqual(['OK', null, '1'])
    expect(crossed).toMatchObject({ name: 'RedisReplyError' })
    expect(crossed.message).toMatch(/^CROSSSLOT .*: MGET$/)
  })
})

test('keys are where the server says: behind words, counted, of subcommands', async () => {
  const client = open()
  await client.xadd('stream', '*', 'field', 'value')
  expect(await client.xread('COUNT', 1, 'STREAMS', 'stream', '0')).toHaveLength(1)
  expect(await client.xgroup('CREATE', 'stream', 'group', '$')).toBe('OK')
  await client.mset('{tag}a', 1, '{tag}b', 2)
  expect(
    await client.eval('return redis.call("MGET", unpack(KEYS))', 2, '{tag}a', '{tag}b'),
  ).toEqual(['1', '2'])
  expect(await client.object('ENCODING', '{tag}a')).toBe('int')
  expect(await client.eval('return 7', 0)).toBe(7)
})

test('a defined script is sent to the node of its keys, which does not know it yet', async () => {
  const client = open()
  client.defineCommand('read', { numberOfKeys: 1, lua: 'return redis.call("GET", KEYS[1])' })
  const keys = ['a', 'b', 'c', 'd']
  await Promise.all(keys.map((key) => client.set(key, key)))
  expect(await Promise.all(keys.map((key) => client.read(key)))).toEqual(keys)
})

test('keys of several slots are refused by name, and nothing is sent', async () => {
  const client = open()
  const refused = await refusalOf(() => client.mset('a', 1, 'b', 2))
  expect(refused.message).toMatch(/^CROSSSLOT .*: MSET$/)
  const transaction = await refusalOf(() => client.multi().set('a', 1).set('b', 1).exec())
  expect(transaction.message).toMatch(/^CROSSSLOT .*: SET$/)
  expect(await Promise.all([client.get('a'), client.get('b')])).toEqual([null, null])
  expect(await client.multi().set('{a}1', 1).incr('{a}1').exec()).toEqual([
    [null, 'OK'],
    [null, 2],
  ])
})

test('while a slot moves and after that, its keys are found', async () => {
  const client = open()
  await client.set('a', 1)
  const { slot, other } = await ownersOf(client, 'a')
  await group.moveSlot(slot, other, async () => {
    expect(await client.get('a')).toBe('1')
    expect(await client.multi().get('a').exec()).toEqual([[null, '1']])
  })
  expect(await client.multi().incr('a').exec()).toEqual([[null, 2]])
  expect(await client.multi().get('a').exec()).toEqual([[null, '2']])
  await group.settled()
})

test('after a planned failover commands go to the new master', async () => {
  const client = open()
  await client.set('a', 1)
  const { owner } = await ownersOf(client, 'a')
  await group.failover(owner)
  expect(await client.incr('a')).toBe(2)
})

test('each command of a pipeline has its own outcome where a node does not answer', async () => {
  const client = open(group.url, { commandTimeoutMs: 2000 })
  const { owner } = await ownersOf(client, 'a')
  const keys = await Promise.all(
    ['b', 'c', 'd', 'e', 'f'].map(async (key) => [key, (await ownersOf(client, key)).owner]),
  )
  const [other] = keys.find(([, node]) => node !== owner)
  await client.pipeline().set('a', 1).set(other, 1).exec()
  owner.pause()
  try {
    const [[lost], [, got]] = await client.pipeline().incr('a').incr(other).exec()
    expect(lost.name).toBe('OutcomeUnknownError')
    expect(got).toBe(2)
  } finally {
    owner.resume()
    await group.settled()
  }
}, 20_000)

test('what is published is heard at any node', async () => {
  const client = open()
  const listener = open(group.nodes.at(-1).url)
  const heard = new Promise((resolve) => listener.on('message', (...news) => resolve(news)))
  await listener.subscribe('news')
  await client.publish('news', 'hello')
  expect(await heard).toEqual(['news', 'hello'])
})
