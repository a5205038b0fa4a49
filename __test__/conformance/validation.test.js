'use strict'

const { InvalidStateError } = require('../..')
const { refusalOf } = require('../harness/refusal.js')
const { makeState } = require('../harness/sessions.js')
const { engines } = require('../harness/engines.js')

describe.each(engines)('$engine', ({ use }) => {
  const store = use()

  const open = (options) => store.open(options)

  /** A state in which this value stands at a path of each kind. */
  const PLACES = [
    ['value', (value) => makeState({ value })],
    ['total_time_ms', (value) => makeState({ total_time_ms: value })],
    ['participants[1].total_time_ms', (value) => within('total_time_ms', value)],
    ['participants[1].own', (value) => within('own', value)],
    ['deep.list[2][0].value', (value) => makeState({ deep: { list: [1, 'x', [{ value }]] } })],
    ['list[1]', (value) => makeState({ list: [0, value] })],
  ]
  function within(field, value) {
    const state = makeState()
    state.participants[1][field] = value
    return state
  }

  /** What JSON would silently turn into something else. */
  const CHANGED = {
    NaN: Number.NaN,
    Infinity: Number.POSITIVE_INFINITY,
    '-Infinity': Number.NEGATIVE_INFINITY,
    'a Map': new Map([['a', 1]]),
    'a Set': new Set([1]),
    'an empty Map': new Map(),
    'a WeakMap': new WeakMap(),
    'a WeakSet': new WeakSet(),
    'a RegExp': /x/,
    'a Promise': Promise.resolve(1),
    'an ArrayBuffer': new ArrayBuffer(8),
    'a typed array': new Uint8Array([1, 2]),
    'a DataView': new DataView(new ArrayBuffer(8)),
    'an invalid date': new Date(Number.NaN),
    'a date after the year 9999': new Date('+010000-01-01T00:00:00.000Z'),
    'a date before the year 0': new Date('-000001-12-31T23:59:59.999Z'),
  }

  describe.each(Object.keys(CHANGED))('%s', (what) => {
    test.each(PLACES)('is refused by its path %s, and nothing is written', async (path, make) => {
      const manager = open()
      const state = make(CHANGED[what])
      const id = state.session_id
      const before = makeState({ session_id: id })
      await manager.createSession(before)
      const stored = await manager.getSession(id)
      for (const call of [
        () => manager.createSession(state),
        () => manager.updateSession(id, state),
        () => manager.updateSession(id, state, 1),
        () => manager.modifySession(id, () => state),
      ]) {
        const error = await refusalOf(call)
        expect(error).toBeInstanceOf(InvalidStateError)
        expect(error).toMatchObject({ field: path, code: 'INVALID_STATE' })
        expect(error.message).toContain(path)
      }
      expect(await manager.getSession(id)).toEqual(stored)
    })

    test('is what JSON makes of it where nothing is validated', async () => {
      const state = makeState({ value: CHANGED[what] })
      const manager = open({ validate: false })
      await manager.createSession(state)
      const { value } = await manager.getSession(state.session_id)
      expect(value).toEqual(JSON.parse(JSON.stringify({ value: CHANGED[what] })).value)
    })
  })

  test.each(['cycle_started_at', 'session_started_at', 'session_completed_at'])(
    'a date outside the years 0 to 9999 is refused in the field %s',
    async (field) => {
      const state = makeState({ [field]: new Date(8.64e15) })
      expect(await refusalOf(() => open().createSession(state))).toMatchObject({ field })
    },
  )

  test.each([
    ['undefined members', { value: undefined, list: [undefined] }, { list: [null] }],
    ['functions and symbols', { f() {}, s: Symbol('x') }, {}],
    [
      'an instance of a class',
      {
        value: new (class Clock {
          ms = 5
          #hidden = 1
          tick() {
            return this.#hidden
          }
        })(),
      },
      { value: { ms: 5 } },
    ],
    [
      'an object with a toJSON()',
      { value: { toJSON: () => 'text', n: Number.NaN } },
      { value: 'text' },
    ],
    [
      'a Map with a toJSON()',
      { value: Object.assign(new Map(), { toJSON: () => [1] }) },
      { value: [1] },
    ],
    ['a Buffer', { value: Buffer.from('a') }, { value: { type: 'Buffer', data: [97] } }],
    [
      'an object without a prototype',
      { value: Object.assign(Object.create(null), { a: 1 }) },
      { value: { a: 1 } },
    ],
    ['what is inherited', { value: Object.create({ n: Number.NaN }) }, { value: {} }],
    [
      'what is not enumerable',
      { value: Object.defineProperty({}, 'n', { value: Number.NaN }) },
      { value: {} },
    ],
    ['minus zero', { value: -0 }, { value: 0 }],
    [
      'the edges of the dates',
      { value: [new Date('0000-01-01T00:00:00.000Z'), new Date('9999-12-31T23:59:59.999Z')] },
      { value: [new Date('0000-01-01T00:00:00.000Z'), new Date('9999-12-31T23:59:59.999Z')] },
    ],
    [
      'nulls and empty objects',
      { value: [null, {}, [], ''], at: null },
      { value: [null, {}, [], ''], at: null },
    ],
  ])('by default %s is written as JSON has it', async (_what, fields, read) => {
    const manager = open()
    const state = makeState(fields)
    await manager.createSession(state)
    const written = await manager.getSession(state.session_id)
    const { created_at, updated_at } = written
    const { value: _, list: __, f: ___, s: ____, at: _____, ...plain } = state
    expect(written).toEqual({ ...plain, ...read, version: 1, created_at, updated_at })
  })

  test.each([1000, 3000])('a state of %d levels is checked to the end', async (levels) => {
    let value = { n: Number.NaN }
    let sound = { n: 1 }
    for (let level = 0; level < levels; level++) [value, sound] = [[value], [sound]]
    const manager = open()
    await manager.createSession(makeState({ sound }))
    const error = await refusalOf(() => manager.createSession(makeState({ value })))
    expect(error.field).toBe(`value${'[0]'.repeat(levels)}.n`)
  })

  describe('validate: strict', () => {
    const one = (fields) => ({ participants: [{ ...makeState().participants[0], ...fields }] })

    test.each([
      ['total_time_ms', { total_time_ms: 'ten' }],
      ['total_time_ms', { total_time_ms: null }],
      ['time_per_cycle_ms', { time_per_cycle_ms: '5' }],
      ['increment_ms', { increment_ms: true }],
      ['max_time_ms', { max_time_ms: [] }],
      ['active_participant_id', { active_participant_id: 5 }],
      ['cycle_started_at', { cycle_started_at: 1_767_323_045_006 }],
      ['session_started_at', { session_started_at: 'yesterday' }],
      ['created_at', { created_at: {} }],
      ['participants[0]', { participants: ['a'] }],
      ['participants[0]', { participants: [null] }],
      ['participants[0].participant_id', one({ participant_id: 5 })],
      ['participants[0].participant_index', one({ participant_index: '0' })],
      ['participants[0].total_time_ms', one({ total_time_ms: 'ten' })],
      ['participants[0].time_remaining_ms', one({ time_remaining_ms: null })],
      ['participants[0].time_used_ms', one({ time_used_ms: {} })],
      ['participants[0].cycle_count', one({ cycle_count: '1' })],
      ['participants[0].is_active', one({ is_active: 1 })],
      ['participants[0].has_gone', one({ has_gone: 'no' })],
      ['participants[0].has_expired', one({ has_expired: null })],
      ['participants[0].group_id', one({ group_id: 5 })],
      ['value', { value: Number.NaN }],
    ])('refuses %s of another type', async (field, fields) => {
      const state = makeState(fields)
      const error = await refusalOf(() => open({ validate: 'strict' }).createSession(state))
      expect(error).toBeInstanceOf(InvalidStateError)
      expect(error.field).toBe(field)
      if (field !== 'value') await open().createSession(state) // By default nobody looks.
    })

    test.each([
      ['a state as it is documented', {}],
      ['text for dates', { cycle_started_at: '2026-01-02', created_at: new Date().toISOString() }],
      [
        'fields that are not there',
        { increment_ms: undefined, max_time_ms: undefined, participants: [{}] },
      ],
      ['a participant without a group', one({ group_id: null })],
      ['fields of the own', { own: 'x', ...one({ own: [1] }) }],
    ])('takes %s', async (_what, fields) => {
      const manager = open({ validate: 'strict' })
      const state = makeState(fields)
      await manager.createSession(state)
      await manager.modifySession(state.session_id, (read) => read)
      expect(await manager.getSession(state.session_id)).toMatchObject({ version: 2 })
    })
  })

  test.each([null, 'lax', 1, {}])('validate cannot be %p', (validate) => {
    expect(() => open({ validate })).toThrow(InvalidStateError)
  })
})
