'use strict'

const { listen } = require('./harness/channel.js')
const { Managers } = require('./harness/managers.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { OldInstance } = require('./harness/old-instance.js')
const { keysIn } = require('./harness/keys.js')
const { RedisServer } = require('./harness/redis.js')
const { refusalOf } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
let server
let redis
let old
let manager
let logger
const managers = new Managers()

beforeAll(async () => {
  server = await RedisServer.start()
})

afterAll(async () => {
  await server.stop()
})

beforeEach(() => {
  logger = recordingLogger()
  redis = server.client()
  old = new OldInstance(redis, server.client())
  manager = managers.open(server.url, { logger })
})

afterEach(async () => {
  await managers.close()
  await redis.flushall()
  redis.disconnect()
  old.subscriber.disconnect()
})

/** A state with what services add of their own. */
const state = (overrides) =>
  makeState({
    session_started_at: new Date('2026-01-02T03:04:05.006Z'),
    group_id: null,
    history: [{ at: new Date('2026-01-02T03:04:06.007Z'), moves: [], by: {} }],
    note: 'ü "quoted" \\ 🦊\n',
    ...overrides,
  })

describe('what an old instance wrote', () => {
  it('is read as it reads it itself', async () => {
    const one = state()
    await old.createSession(one)
    expect(await manager.getSession(one.session_id)).toEqual(await old.getSession(one.session_id))
    expect(await manager.getSession(one.session_id)).toMatchObject({ ...one, ...stamps() })
  })

  const orders = [
    ['first', (entries) => entries.sort(([a]) => (a === 'version' ? -1 : 1))],
    ['last', (entries) => entries.sort(([a]) => (a === 'version' ? 1 : -1))],
    ['in the middle', (entries) => entries],
    ['after participants with versions', (entries) => entries.reverse()],
  ]
  it.each(orders)('is read and updated where its version stands %s', async (_where, order) => {
    const participants = [{ version: 77, participant_id: 'p' }]
    const whole = state({ version: 5, participants })
    const text = JSON.stringify(Object.fromEntries(order(Object.entries(whole))))
    const id = whole.session_id
    for (const expected of [5, undefined]) {
      await redis.set(`session:${id}`, text)
      const read = await manager.getSession(id)
      expect(read).toEqual(whole)
      const conflict = await refusalOf(() => manager.updateSession(id, read, 4))
      expect(conflict).toMatchObject({ code: 'CONCURRENT_MODIFICATION', actualVersion: 5 })
      expect(await redis.get(`session:${id}`)).toBe(text)
      await manager.updateSession(id, { ...read, version: 1, status: 'running' }, expected)
      const updated = await old.getSession(id)
      expect(updated).toEqual({
        ...whole,
        status: 'running',
        version: 6,
        updated_at: updated.updated_at,
      })
    }
  })

  it('with white space and a version that is spelled with escapes is updated', async () => {
    const whole = state({ version: 5 })
    const spaced = JSON.stringify(whole, null, 2)
    for (const text of [spaced, spaced.replace('"version"', '"\\u0076ersion"')]) {
      await redis.set(`session:${whole.session_id}`, text)
      expect(await manager.getSession(whole.session_id)).toEqual(whole)
      await manager.updateSession(whole.session_id, whole, 5)
      expect((await old.getSession(whole.session_id)).version).toBe(6)
    }
  })

  it('with half a surrogate pair, which JSON.stringify escapes, is updated', async () => {
    const whole = state({ note: 'cut \ud83e' })
    await old.createSession(whole)
    const read = await manager.getSession(whole.session_id)
    expect(read.note).toBe('cut \ud83e')
    await manager.updateSession(whole.session_id, read, 1)
    expect(await old.getSession(whole.session_id)).toMatchObject({ version: 2, note: read.note })
  })
})

describe('what we write', () => {
  it('is read by an old instance as we read it', async () => {
    const one = state()
    await manager.createSession(one)
    expect(await old.getSession(one.session_id)).toEqual(await manager.getSession(one.session_id))
    await manager.updateSession(one.session_id, one, 1)
    expect(await old.getSession(one.session_id)).toEqual(await manager.getSession(one.session_id))
  })

  it('has the keys, the TTL and the dates that are known', async () => {
    const one = state({ session_id: 'session-123' })
    await manager.createSession(one)
    await manager.updateSession('session-123', one)
    expect(await keysIn(redis)).toEqual(['session:session-123'])
    expect(await redis.type('session:session-123')).toBe('string')
    const ttl = await redis.ttl('session:session-123')
    expect(ttl).toBeGreaterThanOrEqual(3599)
    expect(ttl).toBeLessThanOrEqual(3600)
    const raw = JSON.parse(await redis.get('session:session-123'))
    expect(raw).toEqual({
      ...JSON.parse(JSON.stringify(one)),
      version: 2,
      created_at: one.created_at.toISOString(),
      updated_at: expect.stringMatching(ISO),
    })
    expect(Date.now() - Date.parse(raw.updated_at)).toBeLessThan(10_000)
  })

  it('is published in the shapes that are known', async () => {
    const updates = await listen(server.client(), 'session-updates')
    const ws = await listen(server.client(), 'ws:session-123')
    const one = state({ session_id: 'session-123' })
    await manager.createSession(one)
    const first = await redis.get('session:session-123')
    await manager.updateSession('session-123', one, 1)
    const second = await redis.get('session:session-123')
    await manager.deleteSession('session-123')
    await manager.broadcastToSession('session-123', { type: 'TICK', left: [], note: one.note })
    await until(() => updates.length === 3 && ws.length === 1)
    const timestamp = expect.any(Number)
    const sessionId = 'session-123'
    expect(updates.map((text) => JSON.parse(text))).toEqual([
      { sessionId, state: first, timestamp, keyPrefix: 'session:' },
      { sessionId, state: second, timestamp, keyPrefix: 'session:' },
      { sessionId, deleted: true, timestamp, keyPrefix: 'session:' },
    ])
    const message = { type: 'TICK', left: [], note: one.note }
    expect(JSON.parse(ws[0])).toEqual({ sessionId, message, timestamp })
    for (const text of [...updates, ...ws]) {
      expect(Math.abs(Date.now() - JSON.parse(text).timestamp)).toBeLessThan(10_000)
    }
  })
})

describe('old and new instances', () => {
  it('take turns in updating one session', async () => {
    const id = 'turns'
    await old.createSession(state({ session_id: id, turns: [] }))
    const expected = []
    for (let version = 1; version <= 12; version++) {
      const [who, name] = version % 2 ? [manager, 'new'] : [old, 'old']
      const current = await who.getSession(id)
      expect(current.version).toBe(version)
      expected.push(name)
      current.turns.push(name)
      await who.updateSession(id, current, version % 3 ? version : undefined)
    }
    expect(await old.getSession(id)).toMatchObject({ version: 13, turns: expected })
    expect(await manager.getSession(id)).toEqual(await old.getSession(id))
  })

  it('refuse each other’s stale writes', async () => {
    await manager.createSession(state({ session_id: 's' }))
    const stale = await old.getSession('s')
    await manager.updateSession('s', await manager.getSession('s'), 1)
    await expect(old.updateSession('s', stale, 1)).rejects.toThrow('Concurrent modification')
    await old.updateSession('s', await old.getSession('s'), 2)
    const error = await refusalOf(() => manager.updateSession('s', stale, 2))
    expect(error).toMatchObject({ code: 'CONCURRENT_MODIFICATION', actualVersion: 3 })
  })

  it('hear of each other’s updates and deletions', async () => {
    const [byOld, byNew] = [[], []]
    await old.subscribeToUpdates((id, one) => byOld.push([id, one]))
    manager.subscribeToUpdates((id, one) => byNew.push([id, one]))
    await manager.subscribed()
    const expected = []
    for (const [who, id] of [
      [old, 'of old'],
      [manager, 'of "new"'],
    ]) {
      await who.createSession(state({ session_id: id }))
      expected.push([id, await old.getSession(id)])
      await who.updateSession(id, expected.at(-1)[1], 1)
      expected.push([id, await old.getSession(id)])
      await who.deleteSession(id)
      expected.push([id, null])
    }
    await until(() => byOld.length === 6 && byNew.length === 6)
    expect(byNew).toEqual(expected)
    expect(byOld).toEqual(expected)
    expect(logger.entries).toEqual([])
  })

  it('hear each other’s broadcasts', async () => {
    const [byOld, byNew] = [[], []]
    await old.subscribeToWebSocket((id, message) => byOld.push([id, message]))
    manager.subscribeToWebSocket((id, message) => byNew.push([id, message]))
    await manager.subscribed()
    const message = { type: 'TICK', at: '2026-01-02T03:04:05.006Z', list: [], 'ü"': { n: 1e21 } }
    const expected = []
    for (const who of [old, manager]) {
      for (const each of [message, 'text', 5, null, false, []]) {
        await who.broadcastToSession('a:b*"ü', each)
        expected.push(['a:b*"ü', each])
      }
    }
    await until(() => byOld.length === 12 && byNew.length === 12)
    expect(byNew).toEqual(expected)
    expect(byOld).toEqual(expected)
    expect(logger.entries).toEqual([])
  })

  it('take the session of a broadcast from its channel', async () => {
    const heard = jest.fn()
    manager.subscribeToWebSocket(heard)
    await manager.subscribed()
    await redis.publish('ws:right', '{"sessionId":"wrong","message":1,"timestamp":1,"extra":{}}')
    await until(() => heard.mock.calls.length)
    expect(heard.mock.calls).toEqual([['right', 1]])
  })

  it('ignore fields of a message that they do not know', async () => {
    const heard = []
    manager.subscribeToUpdates((id, one) => heard.push([id, one]))
    await manager.subscribed()
    const one = state({ session_id: 's' })
    const message = { extra: [{}], timestamp: 1, state: JSON.stringify(one), sessionId: 's', by: 5 }
    await redis.publish('session-updates', JSON.stringify(message))
    await redis.publish('session-updates', '{"deleted":true,"extra":1,"sessionId":"s"}')
    await until(() => heard.length === 2)
    expect(heard).toEqual([
      ['s', one],
      ['s', null],
    ])
  })
})

describe('a malformed message', () => {
  const nested = (text) => JSON.stringify({ sessionId: 'secret', state: text, timestamp: 1 })
  const updates = [
    'secret',
    '',
    'null',
    '[]',
    '{}',
    '{"sessionId":"secret"}',
    '{"sessionId":5,"deleted":true}',
    '{"deleted":true}',
    '{"sessionId":"secret","deleted":tr',
    '{"sessionId":"secret","state":{"version":1}}',
    nested('secret'),
    nested('null'),
    nested('[]'),
    nested('{}'),
    nested('{"version":"1"}'),
    nested('{"version":1,'),
    Buffer.from([0x7b, 0xff, 0xfe, 0x7d]),
  ]
  const broadcasts = [
    'secret',
    '',
    'null',
    '[]',
    '{}',
    '{"message":',
    Buffer.from([0x7b, 0xff, 0x7d]),
  ]

  it.each([
    ['session-updates', updates, 'subscribeToUpdates', () => old.deleteSession('next')],
    ['ws:s', broadcasts, 'subscribeToWebSocket', () => old.broadcastToSession('next', null)],
  ])(
    'on %s is reported and skipped, and the next one arrives',
    async (channel, bad, method, send) => {
      const heard = jest.fn()
      manager[method](heard)
      await manager.subscribed()
      for (const [index, text] of bad.entries()) {
        await redis.publish(channel, text)
        await send()
        await until(() => heard.mock.calls.length === index + 1)
        expect(heard.mock.calls[index]).toEqual(['next', null])
        expect([text, logger.entries.length]).toEqual([text, index + 1])
      }
      for (const [level, fields, text] of logger.entries) {
        expect(['warn', 'error']).toContain(level)
        expect(JSON.stringify(fields)).toContain(channel)
        expect(text).toMatch(/malformed/)
        expect(JSON.stringify([fields, text])).not.toContain('secret')
      }
    },
  )
})

/** What a creation sets. */
function stamps() {
  return { version: 1, created_at: expect.any(Date), updated_at: expect.any(Date) }
}
