'use strict'

const { OutcomeUnknownError, RedisReplyError } = require('..')
const { Outage, outcomeOf } = require('./harness/outage.js')
const { refusalOf } = require('./harness/refusal.js')
const { until } = require('./harness/until.js')

const outage = Outage.use()

/** The messages that are broadcast to a session, as Redis publishes them. */
async function listenTo(id) {
  const listener = outage.server.client()
  const heard = []
  listener.on('message', (_channel, text) => heard.push(JSON.parse(text).message))
  await listener.subscribe(`ws:${id}`)
  return heard
}

/** Numbers from 0. */
const upTo = (count) => Array.from({ length: count }, (_, number) => number)

test('many broadcasts, some of them long, stay in order while the connection lags', async () => {
  const manager = await outage.connected()
  const heard = await listenTo('ordered')
  const held = outage.proxy.hold('ordered')
  const message = (number) => (number === 300 ? [number, 'x'.repeat(100_000)] : [number])
  const all = upTo(400).map((number) => manager.broadcastToSession('ordered', message(number)))
  const { release } = await held
  release()
  await Promise.all(all)
  await until(() => heard.length >= all.length)
  expect(heard.map(([number]) => number)).toEqual(upTo(400))
})

test('a caller that holds up its thread does not make a broadcast fail', async () => {
  const manager = await outage.connected()
  for (let round = 0; round < 3; round++) {
    const broadcast = manager.broadcastToSession('busy', round)
    const end = performance.now() + 2300
    while (performance.now() < end);
    await broadcast
  }
}, 15_000)

test('of many broadcasts on a connection that falls silent those that are done were heard, in order', async () => {
  const manager = await outage.connected()
  const heard = await listenTo('many')
  outage.proxy.strand()
  const outcomes = await Promise.all(
    upTo(400).map((number) => outcomeOf(manager.broadcastToSession('many', number))),
  )
  const others = outcomes.filter((outcome) => outcome !== 'done')
  for (const outcome of others) expect(outcome).toBe(OutcomeUnknownError.name)
  const done = upTo(400).filter((number) => outcomes[number] === 'done')
  await until(() => heard.length >= done.length)
  expect(heard).toEqual(done)
})

test('a broadcast that the user may not make is refused, and reads go on', async () => {
  const rights = ['on', '>secret', 'allcommands', 'allkeys', 'allchannels']
  await outage.redis.acl('SETUSER', 'silent', ...rights)
  const url = outage.proxy.url.replace('://', '://silent:secret@')
  const manager = await outage.connected(undefined, { url })
  await outage.redis.acl('SETUSER', 'silent', 'resetchannels')
  const error = await refusalOf(() => manager.broadcastToSession('s', 1))
  expect(error).toBeInstanceOf(RedisReplyError)
  expect(error.message).toMatch(/NOPERM/)
  expect(await manager.getSession('none')).toBeNull()
  await manager.close()
  await outage.redis.acl('DELUSER', 'silent')
})
