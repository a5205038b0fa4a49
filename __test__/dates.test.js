'use strict'

const fc = require('fast-check')
const { fromIso, toIso } = require('../lib/realm/dates.js')

test('a date is written as toISOString() does, and read back', () => {
  fc.assert(
    fc.property(fc.date({ noInvalidDate: true }), (date) => {
      const text = date.toISOString()
      expect(toIso(date.getTime())).toBe(text)
      if (text.length === 24) expect(fromIso(text)).toEqual(date)
    }),
    { numRuns: 2000 },
  )
})

test.each([
  '0000-01-01T00:00:00.000Z',
  '1969-12-31T23:59:59.999Z',
  '2000-02-29T00:00:00.000Z',
  '9999-12-31T23:59:59.999Z',
])('so is %s, at an edge', (text) => {
  expect(toIso(Date.parse(text))).toBe(text)
  expect(fromIso(text)).toEqual(new Date(text))
})
