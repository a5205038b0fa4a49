'use strict'

const fc = require('fast-check')
const { StateDeserializationError } = require('..')
const { Managers } = require('./harness/managers.js')
const { refusalOf } = require('./harness/refusal.js')
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
  manager = managers.open(server.url)
})
afterAll(async () => {
  await managers.close()
  await server.stop()
})

const ID = 's'
const NEXT = makeState({ session_id: ID })

/** The version that `JSON.parse` finds, where it is one that can be counted up. */
function versionOf(text) {
  try {
    const { version } = JSON.parse(text)
    return Number.isSafeInteger(version) && version >= 0 && version < 2 ** 53 - 2 ? version : null
  } catch {
    return null
  }
}

/** Whatever reads a text reads it, and whatever updates it does so. */
async function expectUsable(text) {
  const version = versionOf(text)
  await redis.set(`session:${ID}`, text)
  expect((await manager.getSession(ID)).version).toBe(version)
  await manager.updateSession(ID, NEXT)
  expect((await manager.getSession(ID)).version).toBe(version + 1)
  if (version === 0) return // No expected version.
  await redis.set(`session:${ID}`, text)
  await manager.updateSession(ID, NEXT, version)
  expect((await manager.getSession(ID)).version).toBe(version + 1)
}

const HALF = String.raw`"\ud83d"`
const deep = (levels) => '['.repeat(levels) + ']'.repeat(levels)

describe('a document of another instance', () => {
  test.each([
    ['half a pair, and a value "version" after it', `{"a":${HALF},"version":3,"label":"version"}`],
    ['half a pair, and a value "version" before it', `{"label":"version","version":3,"a":${HALF}}`],
    [
      'a value "version" before a comma and a number',
      `{"version":3,"a":["version",5],"b":${HALF}}`,
    ],
    ['half a pair as a name', `{"\\udd8a":1,"version":3}`],
    ['a name that is written with escapes', `{"\\u0076ersion":3,"b":${HALF}}`],
    ['a name that ends in a backslash', `{"version\\\\":1,"b":${HALF},"version":3}`],
    ['a version after blanks', `{ "b" : ${HALF} ,\n\t"version"\r: 3 }\n`],
    ['a version in an exponent', `{"b":${HALF},"version":3e0}`],
    ['a version with a fraction of zero', '{"b":1,"version":30.0}'],
    ['a version twice', `{"b":${HALF},"version":9,"c":{"version":8},"version":3}`],
    ['a version of zero', `{"b":${HALF},"version":0}`],
    ['a version of minus zero', `{"b":${HALF},"version":-0}`],
    ['a number beyond all', '{"b":1e999,"version":3}'],
    ['a thousand levels, and a value "version"', `{"a":${deep(1500)},"version":3,"b":"version"}`],
    ['brackets in strings', `{"a":"}{][","b":${HALF},"version":3,"c":"\\"}"}`],
  ])('with %s is read and updated', (_what, text) => expectUsable(text))

  test.each([
    ['ends early', `{"b":${HALF},"version":3`],
    ['has something behind it', `{"b":${HALF},"version":3} x`],
    ['has another behind it', `{"b":${HALF},"version":3}{"version":4}`],
    ['begins with a byte order mark', `\ufeff{"b":1,"version":3}`],
    ['has its version within', `{"b":${HALF},"c":{"version":3}}`],
    ['has a version that is text in the end', `{"b":${HALF},"version":3,"version":"3"}`],
    ['has a version that is a list in the end', `{"b":${HALF},"version":3,"version":[3]}`],
    ['is a list', `[${HALF},"version",3]`],
  ])('that %s is refused by whatever reads or updates it', async (_what, text) => {
    await redis.set(`session:${ID}`, text)
    for (const call of [
      () => manager.getSession(ID),
      () => manager.updateSession(ID, NEXT),
      () => manager.updateSession(ID, NEXT, 3),
    ]) {
      expect(await refusalOf(call)).toBeInstanceOf(StateDeserializationError)
    }
    expect(await redis.get(`session:${ID}`)).toBe(text)
  })

  test('that JSON.parse reads is updated, whatever else it holds', async () => {
    const text = fc.oneof(
      fc.constantFrom(
        'version',
        '\ud83d',
        '\udd8a',
        '"',
        '\\',
        '}',
        '{',
        ']',
        ',',
        ':',
        '"version":',
      ),
      fc.string({ unit: 'binary' }),
    )
    const texts = fc.array(text, { maxLength: 3 }).map((parts) => parts.join(''))
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        texts,
        fc.double(),
        fc.constant(null),
        tie('list'),
        tie('object'),
      ),
      list: fc.array(tie('value'), { maxLength: 3 }),
      object: fc.dictionary(texts, tie('value'), { maxKeys: 3 }),
    }))
    const members = fc.array(fc.tuple(texts, value), { maxLength: 4 })
    const escaped = (json) =>
      json.replace(/[a-z]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
    const blank = fc.constantFrom('', ' ', '\n\t')
    await fc.assert(
      fc.asyncProperty(
        members,
        members,
        fc.nat(1e6),
        fc.boolean(),
        blank,
        async (before, after, version, isEscaped, space) => {
          const written = ([name, value]) =>
            `${JSON.stringify(name)}${space}:${space}${JSON.stringify(value)}`
          const name = isEscaped ? escaped('version') : 'version'
          const all = [
            ...before.map(written),
            `"${name}":${space}${version}`,
            ...after.map(written),
          ]
          const json = `{${space}${all.join(`,${space}`)}${space}}`
          fc.pre(versionOf(json) !== null)
          // The beginning of our own documents, of which there is one version only.
          fc.pre(!/^\{"version":\d+,/.test(json) || versionOf(json) === version)
          await expectUsable(json)
        },
      ),
      { numRuns: 300 },
    )
  }, 60_000)

  test('is passed on to subscribers, whatever its names are', async () => {
    const heard = []
    const unsubscribe = manager.subscribeToUpdates((id, state) => heard.push([id, state.version]))
    await manager.subscribed()
    for (const state of [
      `{"\\ud83d":1,"version":3}`,
      `{"\\u0076ersion":4}`,
      `{"version":9,"version":5}`,
      `{"version":6e0}`,
    ]) {
      await redis.publish('session-updates', JSON.stringify({ sessionId: ID, state, timestamp: 1 }))
    }
    await redis.publish(
      'session-updates',
      JSON.stringify({ sessionId: 'end', state: '{"version":1}', timestamp: 1 }),
    )
    await until(() => heard.some(([id]) => id === 'end'))
    unsubscribe()
    expect(heard.map(([, version]) => version)).toEqual([3, 4, 5, 6, 1])
  })
})
