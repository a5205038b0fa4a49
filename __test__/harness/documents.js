'use strict'

const { isDeepStrictEqual } = require('node:util')
const fc = require('fast-check')
const { makeState } = require('./sessions.js')

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

/** JSON objects whose texts are hard to keep: what is odd about each, and its text. */
const HARD_OBJECTS = [
  ['fields named like those of every object', '{"__proto__":{"a":1},"constructor":2,"toString":3}'],
  ['empty lists and objects', '{"a":[],"b":{},"c":[[],{}],"d":[{"e":[]}]}'],
  ['large and small numbers', `{"a":${2 ** 53 - 1},"b":1e21,"c":5e-324,"d":-1e308,"e":0.1}`],
  ['half surrogate pairs', '{"a":"\\ud83e","b":{"\\udd8a":1}}'],
  ['a thousand levels', `{"a":${'['.repeat(1500)}${']'.repeat(1500)}}`],
]

module.exports = {
  DATE_FIELDS,
  HARD_OBJECTS,
  document,
  expectSame,
  expected,
  revived,
  toObject,
}
