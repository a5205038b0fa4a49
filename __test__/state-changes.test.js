'use strict'

const { changesBetween } = require('../lib/audit/changes.js')

test.each([
  ['equal states', { a: [1, { b: null }] }, { a: [1, { b: null }] }, []],
  ['a value', { a: 1, b: 2 }, { a: 1, b: 3 }, [['b', 2, 3]]],
  ['a value that came', {}, { a: null }, [['a', undefined, null]]],
  ['a value that went', { a: null }, {}, [['a', null, undefined]]],
  [
    'an element of an array',
    { list: [{ ms: 1 }, { ms: 2 }] },
    { list: [{ ms: 1 }, { ms: 3 }] },
    [['list[1].ms', 2, 3]],
  ],
  [
    'arrays of other lengths',
    { more: [1], less: [1, { a: 2 }] },
    { more: [1, [2]], less: [1] },
    [
      ['more[1]', undefined, [2]],
      ['less[1]', { a: 2 }, undefined],
    ],
  ],
  ['an array in place of an object', { a: {} }, { a: [] }, [['a', {}, []]]],
  ['an object in place of null', { a: null }, { a: { b: 1 } }, [['a', null, { b: 1 }]]],
  ['a date', { at: '2026-01-01' }, { at: '2026-01-02' }, [['at', '2026-01-01', '2026-01-02']]],
  ['values of two types', { a: 1 }, { a: '1' }, [['a', 1, '1']]],
  [
    'names that are no identifiers',
    { 'a.b': 1, '': { '0"': 1 }, ü$: 1 },
    { 'a.b': 2, '': { '0"': 2 }, ü$: 2 },
    [
      ['["a.b"]', 1, 2],
      ['[""]["0\\""]', 1, 2],
      ['ü$', 1, 2],
    ],
  ],
  [
    'a member of a name that objects have anyway',
    JSON.parse('{"__proto__":{"a":1},"constructor":1}'),
    JSON.parse('{"__proto__":{"a":2}}'),
    [
      ['__proto__.a', 1, 2],
      ['constructor', 1, undefined],
    ],
  ],
])('%s', (_name, from, to, expected) => {
  const changes = changesBetween(from, to).map((change) => [change.path, change.from, change.to])
  expect(changes).toEqual(expected)
})

test('changes come in the order of the newer state', () => {
  const from = { a: 0, gone: 0, b: { c: 0, d: 0 }, e: 0 }
  const to = { e: 1, b: { d: 1, c: 1 }, a: 1 }
  const paths = changesBetween(from, to).map(({ path }) => path)
  expect(paths).toEqual(['e', 'b.d', 'b.c', 'a', 'gone'])
})

test('a state may be nested deeper than calls can be', () => {
  const depth = 10_000
  const nested = (value) => {
    let state = value
    for (let n = 0; n < depth; n++) state = [state]
    return { state }
  }
  const [change] = changesBetween(nested(1), nested(2))
  expect(change.path).toBe(`state${'[0]'.repeat(depth)}`)
})
