'use strict'

const { InvalidStateError, StateDeserializationError } = require('..')
const { Managers } = require('./harness/managers.js')
const { refusalOf } = require('./harness/refusal.js')
const { RedisServer } = require('./harness/redis.js')
const { makeState } = require('./harness/sessions.js')

let server
let redis
let manager
const managers = new Managers()

beforeAll(async () => {
  server = await RedisServer.start()
  redis = server.client()
})
afterAll(() => server.stop())

beforeEach(() => {
  manager = managers.open(server.url)
})
afterEach(async () => {
  await managers.close()
  await redis.flushall()
})

/** What is stored where a session should be. */
const CORRUPT = {
  'a text that is no JSON': (key) => redis.set(key, 'no JSON'),
  'a text that is no session': (key) => redis.set(key, '[]'),
  'bytes that are no text': (key) => redis.set(key, Buffer.from([0x7b, 0xff, 0x7d])),
  'a list': (key) => redis.rpush(key, 'x'),
  'a hash': (key) => redis.hset(key, 'version', 1),
  'a stream': (key) => redis.xadd(key, '*', 'version', 1),
}

async function created(session_id) {
  await manager.createSession(makeState({ session_id }))
  return manager.getSession(session_id)
}

describe.each(Object.keys(CORRUPT))('where %s is stored', (what) => {
  beforeEach(() => CORRUPT[what]('session:bad'))

  it.each([
    ['getSession', () => manager.getSession('bad')],
    ['getSession with a cache', () => managers.open(server.url, { cache: {} }).getSession('bad')],
    ['getSessions', () => manager.getSessions(['nobody', 'bad'])],
    ['getSessions of one', () => manager.getSessions(['bad'])],
    ['updateSession', () => manager.updateSession('bad', makeState({ session_id: 'bad' }))],
    ['a locked update', () => manager.updateSession('bad', makeState({ session_id: 'bad' }), 1)],
    ['modifySession', () => manager.modifySession('bad', (state) => state)],
  ])('%s rejects, and names the session', async (_name, call) => {
    const before = await redis.dump('session:bad')
    for (const _time of [1, 2]) {
      const error = await refusalOf(call)
      expect(error).toBeInstanceOf(StateDeserializationError)
      expect(error.sessionId).toBe('bad')
    }
    expect(await redis.dump('session:bad')).toEqual(before)
  })

  it('getSessions gives the others, and null in its place, to who takes the error', async () => {
    const [a, b] = [await created('a'), await created('b')]
    const errors = []
    const ids = ['a', 'bad', 'nobody', 'b', 'bad']
    const onCorrupt = (error) => errors.push(error)
    expect(await manager.getSessions(ids, { onCorrupt })).toEqual([a, null, null, b, null])
    expect(errors.map((error) => [error.constructor, error.sessionId])).toEqual([
      [StateDeserializationError, 'bad'],
      [StateDeserializationError, 'bad'],
    ])
  })
})

describe('getSessions', () => {
  it('rejects with the first of several errors in the order of the ids', async () => {
    await redis.set('session:text', 'no JSON')
    await redis.rpush('session:list', 'x')
    for (const ids of [
      ['list', 'text'],
      ['text', 'list'],
    ]) {
      expect(await refusalOf(() => manager.getSessions(ids))).toMatchObject({ sessionId: ids[0] })
    }
  })

  it('passes on what onCorrupt throws', async () => {
    await redis.set('session:bad', 'no JSON')
    const fault = new RangeError('mine')
    const onCorrupt = () => {
      throw fault
    }
    expect(await refusalOf(() => manager.getSessions(['bad'], { onCorrupt }))).toBe(fault)
  })

  it.each([null, 'log', {}])('refuses an onCorrupt that is %p', async (onCorrupt) => {
    const error = await refusalOf(() => manager.getSessions(['s'], { onCorrupt }))
    expect(error).toBeInstanceOf(InvalidStateError)
    expect(error.field).toBe('onCorrupt')
  })

  it('gives null for each of many that are missing', async () => {
    const ids = Array.from({ length: 3000 }, (_, at) => `none-${at}`)
    expect(await manager.getSessions(ids)).toEqual(ids.map(() => null))
  })
})
