'use strict'

const { isDeepStrictEqual } = require('node:util')
const fc = require('fast-check')
const { Managers } = require('./harness/managers.js')
const { RedisServer } = require('./harness/redis.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

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

const DATE_FIELDS = [
  'cycle_started_at',
  'session_started_at',
  'session_completed_at',
  'created_at',
  'updated_at',
]

/** The date of an RFC 3339 text (of milliseconds what is whole), else undefined. By the book. */
function rfc3339(text) {
  const match =
    /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$/.exec(
      text,
    )
  if (match === null) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number)
  const [sign, hours = '0', minutes = '0'] = match.slice(8)
  const midnight = new Date(0)
  midnight.setUTCFullYear(year, month - 1, day)
  if (midnight.getUTCMonth() !== month - 1 || midnight.getUTCDate() !== day) return undefined
  if (hour > 23 || minute > 59 || second > 60 || hours > 23 || minutes > 59) return undefined
  const ms = Number(`${match[7] ?? ''}000`.slice(0, 3))
  const offset = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -60_000 : 60_000)
  return new Date(midnight.getTime() + ((hour * 60 + minute) * 60 + second) * 1000 + ms - offset)
}

/** The date of any text that has one, else undefined. */
function dateOf(text) {
  const date = rfc3339(text) ?? new Date(text)
  return Number.isNaN(date.getTime()) ? undefined : date
}

/** The date that writes exactly this, else undefined. */
function exactly(text) {
  const date = new Date(text)
  if (text.length !== 24 || Number.isNaN(date.getTime())) return undefined
  return date.toISOString() === text ? date : undefined
}

/** What a reader is to make of a stored document. */
function revived(text) {
  const state = JSON.parse(text, (_key, value) =>
    typeof value === 'string' ? (exactly(value) ?? value) : value,
  )
  for (const field of DATE_FIELDS) {
    if (typeof state[field] === 'string') state[field] = dateOf(state[field]) ?? state[field]
  }
  return state
}

/** What is read after `state` was written, given when it was. */
function expected(state, { version, created_at, updated_at }) {
  const written = revived(JSON.stringify(state))
  return { ...written, version, created_at: created_at ?? written.created_at, updated_at }
}

function expectSame(received, wanted) {
  if (isDeepStrictEqual(received, wanted)) return
  expect(received).toStrictEqual(wanted)
  throw new Error(`not the same: ${JSON.stringify(received)} and ${JSON.stringify(wanted)}`)
}

const digits = (count) =>
  fc.stringMatching(new RegExp(`^[0-9]{${count}}$`), { minLength: count, maxLength: count })
const year = fc.oneof(digits(4), fc.constantFrom('0000', '0004', '0050', '1900', '2000', '2024'))
const upTo = (max) => fc.integer({ min: 0, max }).map((value) => String(value).padStart(2, '0'))
/** Dates, almost dates, and what only looks like one. */
const dateText = fc
  .tuple(
    fc.tuple(year, upTo(13), upTo(32)).map((parts) => parts.join('-')),
    fc.constantFrom('T', 'T', 'T', 't', ' ', '_'),
    fc.tuple(upTo(24), upTo(60), upTo(61)).map((parts) => parts.join(':')),
    fc.oneof(fc.constantFrom('', '.'), digits(3), digits(3), digits(1), digits(9)),
    fc.oneof(fc.constantFrom('Z', 'Z', 'Z', 'z', '', '+00:00'), fc.tuple(upTo(24), upTo(60))),
  )
  .map(([day, t, time, fraction, zone]) => {
    const dotted = /^\d/.test(fraction) ? `.${fraction}` : fraction
    return `${day}${t}${time}${dotted}${typeof zone === 'string' ? zone : `-${zone.join(':')}`}`
  })
const date = fc.date({
  noInvalidDate: true,
  min: new Date('0000-01-01T00:00:00.000Z'),
  max: new Date('9999-12-31T23:59:59.999Z'),
})
const anyDate = fc.oneof(
  fc.constant(null),
  date,
  date.map((value) => value.toISOString()),
  dateText,
)

// No name that ends in a backslash: newer V8 takes others for it (`runtimes/backslash-names.js`).
const NAMES = ['__proto__', 'constructor', 'toString', 'version', 'toJSON', 'length', '', '"']
const key = fc.oneof(fc.constantFrom(...NAMES, ...DATE_FIELDS), fc.string({ unit: 'binary' }))
const leaf = fc.oneof(
  fc.constantFrom(null, true, false, 0, -0, 2 ** 53 - 1, -(2 ** 53) + 1, 1e21, 5e-324, 1e308, ''),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer(),
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '\ud800',
    'a\udfff',
    '\u2028',
    '\0',
    '"version":5',
    '{"version":',
    '\\u0000',
    '\\"',
  ),
  anyDate,
)
const toObject = (entries) => {
  const object = {}
  for (const [name, value] of entries) {
    Object.defineProperty(object, name, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    })
  }
  return object
}
const { value } = fc.letrec((tie) => ({
  value: fc.oneof({ depthSize: 'small', withCrossShrink: true }, leaf, tie('list'), tie('object')),
  list: fc.array(tie('value'), { maxLength: 5 }),
  object: fc.array(fc.tuple(key, tie('value')), { maxLength: 5 }).map(toObject),
}))
const participant = fc.array(fc.tuple(key, value), { maxLength: 5 }).map(toObject)
const RESERVED = new Set([...DATE_FIELDS, 'version', 'session_id', 'participants', 'toJSON'])
const document = fc
  .record({
    extra: fc.array(
      fc.tuple(
        key.filter((name) => !RESERVED.has(name)),
        value,
      ),
      { maxLength: 6 },
    ),
    participants: fc.array(participant, { maxLength: 4 }),
    dates: fc.tuple(anyDate, anyDate, anyDate, anyDate),
  })
  .map(({ extra, participants, dates }) => {
    const state = makeState({ participants })
    DATE_FIELDS.slice(0, 4).forEach((field, index) => {
      state[field] = dates[index]
    })
    const names = Object.entries(state)
    // What is of the caller's own stands before and after what is known.
    return toObject([...extra.slice(3), ...names, ...extra.slice(0, 3)].filter(distinct()))
  })

function distinct() {
  const seen = new Set()
  return ([name]) => !seen.has(name) && seen.add(name)
}

describe('any document', () => {
  it('comes back as JSON gives it, with dates, by getSession and by subscription', async () => {
    const heard = new Map()
    manager.subscribeToUpdates((id, state) => heard.set(id, state))
    await manager.subscribed()
    await fc.assert(
      fc.asyncProperty(document, document, async (first, second) => {
        const id = first.session_id
        await manager.createSession(first)
        const one = await manager.getSession(id)
        const { created_at, updated_at } = one
        expectSame(one, expected(first, { version: 1, created_at, updated_at }))
        expect(created_at).toBeInstanceOf(Date)

        const next = toObject([...Object.entries(second), ['session_id', id]])
        await manager.updateSession(id, next, 1)
        const two = await manager.getSession(id)
        expectSame(two, expected(next, { version: 2, updated_at: two.updated_at }))

        // Read and written back, nothing is lost and nothing changes once more.
        await manager.updateSession(id, two)
        const three = await manager.getSession(id)
        expectSame(three, { ...two, version: 3, updated_at: three.updated_at })
        await until(() => heard.get(id)?.version === 3)
        expectSame(heard.get(id), three)
        expectSame((await manager.getSessions([id]))[0], three)
      }),
      { numRuns: 300 },
    )
  }, 60_000)

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
    [
      'fields named like those of every object',
      '{"__proto__":{"a":1},"constructor":2,"toString":3}',
    ],
    ['a date named __proto__', '{"__proto__":"2026-01-02T03:04:05.006Z"}'],
    ['empty lists and objects', '{"a":[],"b":{},"c":[[],{}],"d":[{"e":[]}]}'],
    ['large and small numbers', `{"a":${2 ** 53 - 1},"b":1e21,"c":5e-324,"d":-1e308,"e":0.1}`],
    ['half surrogate pairs', '{"a":"\\ud83e","b":{"\\udd8a":1}}'],
    ['a thousand levels', `{"a":${'['.repeat(1500)}${']'.repeat(1500)}}`],
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

  it('a version inside participants keeps those, whatever is written', async () => {
    const participants = [{ version: 7, x: { version: '8' } }, { version: null }]
    const state = makeState({ participants, group: { version: 9 } })
    await manager.createSession(state)
    await manager.updateSession(state.session_id, state, 1)
    const read = await manager.getSession(state.session_id)
    expect(read).toMatchObject({ version: 2, participants, group: { version: 9 } })
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
