'use strict'

const fc = require('fast-check')
const {
  DATE_FIELDS,
  HARD_OBJECTS,
  document,
  expectSame,
  expected,
  revived,
} = require('./harness/documents.js')
const { Managers } = require('./harness/managers.js')
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

afterAll(async () => {
  await server.stop()
})

beforeEach(() => {
  manager = managers.open(server.url)
})

afterEach(async () => {
  await managers.close()
  await redis.flushall()
})

describe('any document', () => {
  it('that anybody stored is read as JSON gives it, with dates', async () => {
    await fc.assert(
      fc.asyncProperty(document, fc.nat(), async (state, version) => {
        const text = JSON.stringify({ ...state, version }, null, version % 3)
        await redis.set('session:s', text)
        expectSame(await manager.getSession('s'), revived(text))
      }),
      { numRuns: 200 },
    )
  }, 60_000)
})

describe('a document with', () => {
  it.each([
    ...HARD_OBJECTS,
    ['a date named __proto__', '{"__proto__":"2026-01-02T03:04:05.006Z"}'],
  ])('%s comes back unchanged, written by us or by others', async (_what, json) => {
    const state = makeState({ participants: [JSON.parse(json)], extra: JSON.parse(json) })
    const id = state.session_id
    await manager.createSession(state)
    for (const _turn of ['ours', 'theirs']) {
      const read = await manager.getSession(id)
      const { version, created_at, updated_at } = read
      expectSame(read, expected(state, { version, created_at, updated_at }))
      await manager.updateSession(id, read, version)
      await manager.updateSession(id, read)
      expect((await manager.getSession(id)).version).toBe(version + 2)
      const { version: _, ...rest } = read
      await redis.set(`session:${id}`, JSON.stringify({ ...rest, version }))
    }
    expect({}.a).toBeUndefined()
  })
})

describe('a date', () => {
  /** The document as it is read that somebody stored with these fields. */
  async function read(fields) {
    await redis.set('session:s', JSON.stringify({ ...makeState({ session_id: 's' }), ...fields }))
    return manager.getSession('s')
  }

  it.each([
    ['2026-01-02T03:04:05.006Z', '2026-01-02T03:04:05.006Z'],
    ['2026-01-02T03:04:05Z', '2026-01-02T03:04:05.000Z'],
    ['2026-01-02t03:04:05.006z', '2026-01-02T03:04:05.006Z'],
    ['2026-01-02 03:04:05Z', '2026-01-02T03:04:05.000Z'],
    ['2026-01-02T03:04:05+02:30', '2026-01-02T00:34:05.000Z'],
    ['2026-01-02T03:04:05.5-23:59', '2026-01-03T03:03:05.500Z'],
    ['2026-01-02T03:04:05-00:00', '2026-01-02T03:04:05.000Z'],
    ['2026-01-02T03:04:05.1Z', '2026-01-02T03:04:05.100Z'],
    ['2026-01-02T03:04:05.12Z', '2026-01-02T03:04:05.120Z'],
    ['2026-01-02T03:04:05.999999999999Z', '2026-01-02T03:04:05.999Z'],
    ['2026-01-02T03:04:05.0069+00:00', '2026-01-02T03:04:05.006Z'],
    ['2016-12-31T23:59:60Z', '2017-01-01T00:00:00.000Z'],
    ['2016-12-31T23:59:60.250Z', '2017-01-01T00:00:00.250Z'],
    ['2016-12-31T15:59:60-08:00', '2017-01-01T00:00:00.000Z'],
    ['2024-02-29T00:00:00.000Z', '2024-02-29T00:00:00.000Z'],
    ['2000-02-29T00:00:00Z', '2000-02-29T00:00:00.000Z'],
    ['0000-02-29T00:00:00.000Z', '0000-02-29T00:00:00.000Z'],
    ['0050-06-07T08:09:10.011Z', '0050-06-07T08:09:10.011Z'],
    ['0050-06-07T08:09:10+00:00', '0050-06-07T08:09:10.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ])('field takes RFC 3339: %s', async (text, iso) => {
    for (const field of DATE_FIELDS) {
      const { [field]: date } = await read({ [field]: text })
      expect(date).toBeInstanceOf(Date)
      expect(date.toISOString()).toBe(iso)
    }
  })

  it.each([
    '2026-01-02',
    '2026-01-02T03:04',
    '2026-01-02T03:04:05',
    '2026-02-30T03:04:05Z',
    '2026-01-02T24:00:00.000Z',
    '+012026-01-02T03:04:05.006Z',
    'Fri, 02 Jan 2026 03:04:05 GMT',
    'Fri Jan 02 2026 03:04:05 GMT+0100 (CET)',
    '2026-01-02T03:04:05+0200',
    '1/2/2026',
  ])('field takes whatever new Date() reads: %j', async (text) => {
    const date = new Date(text)
    expect(date.getTime()).not.toBeNaN()
    for (const field of DATE_FIELDS) expect((await read({ [field]: text }))[field]).toEqual(date)
  })

  it.each([
    '',
    'now',
    'yesterday at noon',
    ' 2026-01-02T03:04:05.006Z',
    '2026-01-02T03:04:05.Z',
    '2026-13-01T00:00:00.000Z',
    '2026-01-00T00:00:00.000Z',
    '2026-01-02T25:00:00Z',
    '2026-01-02T03:60:00.000Z',
    '2026-01-02T03:04:61.000Z',
  ])('field leaves alone what is no date: %j', async (text) => {
    expect(new Date(text).getTime()).toBeNaN()
    for (const field of DATE_FIELDS) expect((await read({ [field]: text }))[field]).toBe(text)
  })

  it.each([
    '2026-01-02T03:04:05.006Z',
    '0050-06-07T08:09:10.011Z',
    '0000-02-29T00:00:00.000Z',
    '9999-12-31T23:59:59.999Z',
  ])('in a field of the caller comes back as toISOString() wrote it: %s', async (text) => {
    const date = new Date(text)
    expect(date.toISOString()).toBe(text)
    const fields = { at: date, participants: [{ at: date, list: [[date]] }], deep: { at: date } }
    expect(await read(fields)).toMatchObject(fields)
    // Also where the known fields hold none.
    const none = Object.fromEntries(DATE_FIELDS.map((field) => [field, null]))
    expect(await read({ ...none, ...fields })).toMatchObject(fields)
  })

  it.each([
    '2026-01-02T03:04:05Z',
    '2026-01-02T03:04:05.0060Z',
    '2026-01-02T03:04:05+00:00',
    '2026-01-02t03:04:05.006z',
    '2026-01-02 03:04:05.006Z',
    '2026-02-30T03:04:05.006Z',
    '2026-01-02T24:00:00.000Z',
    '2016-12-31T23:59:60.000Z',
    '2026-01-02T03:04:05.006+',
    '2026-01-02T03:04:05.00６Z',
    '+012026-01-02T03:04:05.006Z',
    'x2026-01-02T03:04:05.006Z',
  ])('in a field of the caller is nothing else: %s stays text', async (text) => {
    const participants = [{ at: text, created_at: text }]
    // Beside a real one, which has the document walked through.
    const at = new Date(0)
    expect(await read({ note: text, participants, deep: [text, at] })).toMatchObject({
      note: text,
      participants,
      deep: [text, at],
    })
  })

  it('is not what a key looks like', async () => {
    const key = '2026-01-02T03:04:05.006Z'
    expect(await read({ by_date: { [key]: key } })).toMatchObject({
      by_date: { [key]: new Date(key) },
    })
  })
})

describe('a read', () => {
  /** Stored by nobody under test. */
  const store = (states) =>
    Promise.all(
      states.map((state) => redis.set(`session:${state.session_id}`, JSON.stringify(state))),
    )

  it('gives a document as it is stored, whatever it holds', async () => {
    const states = [
      makeState(),
      makeState({ note: 'Zoë "quoted" \\ \u{1f600} \u0000', session_started_at: new Date(5) }),
      makeState({ note: 'a \ufffd b' }),
      makeState({ participants: [{ ...makeState().participants[0], joined_at: new Date(7) }] }),
      makeState({ blob: 'é'.repeat(200_000) }),
      makeState({ version: Number.MAX_SAFE_INTEGER - 5 }),
      makeState({ session_id: 'für-uns' }),
    ]
    await store(states)
    const read = await Promise.all(states.map((state) => manager.getSession(state.session_id)))
    expect(read).toEqual(states)
    expect(await manager.getSessions(states.map((state) => state.session_id))).toEqual(states)
    expect(await manager.getSession('none')).toBeNull()
    expect(await manager.getSession('keine-für-uns')).toBeNull()
  })

  it('gives documents of all lengths when they are read together', async () => {
    const lengths = [0, 5_000, 40_000, 1, 300_000, 3_000_000, 70_000, 100, 260_000, 31_000]
    const states = lengths.map((length) => makeState({ blob: 'é'.repeat(length) }))
    await store(states)
    for (let round = 0; round < 3; round++) {
      const wanted = Array.from({ length: 60 }, (_, at) => states[(at * (round + 3)) % 10])
      const read = await Promise.all(wanted.map((state) => manager.getSession(state.session_id)))
      expect(read).toEqual(wanted)
    }
  })

  it('of several sessions gives them in their order, and null for those that are none', async () => {
    const states = Array.from({ length: 80 }, (_, n) => makeState({ n }))
    await store(states)
    const ids = ['none', ...states.map(({ session_id: id }) => id), states[0].session_id, 'none']
    const expectedStates = [null, ...states, states[0], null]
    const reads = Array.from({ length: 5 }, () => manager.getSessions(ids))
    expect(await Promise.all(reads)).toEqual(Array(5).fill(expectedStates))
  })
})
