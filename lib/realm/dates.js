'use strict'

// Character codes in what `toISOString()` writes.
const DASH = 0x2d
const DOT = 0x2e
const COLON = 0x3a
const T = 0x54
const Z = 0x5a

// Not looked up on the string each time: in a process that has loaded certain other packages
// (ioredis is one) V8 no longer knows beforehand what it will find, and reading dates costs thrice.
/** @type {(text: string, at: number) => number} */
const codeAt = Function.prototype.call.bind(String.prototype.charCodeAt)

const RFC_3339 =
  /^(\d{4}-\d\d-\d\d)[Tt ]((?:[01]\d|2[0-3]):\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/

const DAY = 86_400_000

/** The times with years of four digits. */
const FIRST = Date.parse('0000-01-01T00:00:00.000Z')
const LAST = Date.parse('9999-12-31T23:59:59.999Z')
const TWO = Array.from({ length: 100 }, (_, value) => String(value).padStart(2, '0'))
const THREE = Array.from({ length: 1000 }, (_, value) => String(value).padStart(3, '0'))

/**
 * The date whose `toISOString()` is `text`. Read by hand: `new Date(text)` and the proof that it
 * writes the same text again cost as much as the rest of the document.
 *
 * @param {string} text
 */
function fromIso(text) {
  if (text.length !== 24 || codeAt(text, 10) !== T || codeAt(text, 23) !== Z) return undefined
  if (codeAt(text, 4) !== DASH || codeAt(text, 7) !== DASH) return undefined
  if (codeAt(text, 13) !== COLON || codeAt(text, 16) !== COLON) return undefined
  if (codeAt(text, 19) !== DOT) return undefined
  const year = two(text, 0) * 100 + two(text, 2)
  const month = two(text, 5)
  const day = two(text, 8)
  const hour = two(text, 11)
  const minute = two(text, 14)
  const second = two(text, 17)
  const ms = two(text, 20) * 10 + one(text, 22)
  if (!(hour <= 23 && minute <= 59 && second <= 59 && ms <= 999)) return undefined
  if (!(year >= 0 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(month, year)))
    return undefined
  const minutes = (epochDay(year, month, day) * 24 + hour) * 60 + minute
  return new Date((minutes * 60 + second) * 1000 + ms)
}

/**
 * Days since 1970 in the Gregorian calendar, counted in years that begin with March.
 *
 * @param {number} year
 * @param {number} month from 1
 * @param {number} day from 1
 */
function epochDay(year, month, day) {
  const y = month > 2 ? year : year - 1
  const leapDays = Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400)
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1
  return y * 365 + leapDays + dayOfYear - 719_468
}

/** @param {number} month from 1 @param {number} year */
function daysIn(month, year) {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
}

/**
 * The number that two digits write; NaN, which fails every comparison, if they are none.
 *
 * @param {string} text
 * @param {number} at
 */
function two(text, at) {
  return one(text, at) * 10 + one(text, at + 1)
}

/** @param {string} text @param {number} at */
function one(text, at) {
  const digit = codeAt(text, at) - 48
  return digit >= 0 && digit <= 9 ? digit : Number.NaN
}

/** @param {string} text */
function fromRfc3339(text) {
  const match = RFC_3339.exec(text)
  if (match === null) return undefined
  const [, day = '', minute, second, fraction = '', zone] = match
  // Date would take 30 February for 2 March.
  if (fromIso(`${day}T00:00:00.000Z`) === undefined) return undefined
  const leap = second === '60'
  const plain = `${day}T${minute}:${leap ? '59' : second}${fraction.slice(0, 4)}${zone?.toUpperCase()}`
  const date = new Date(plain)
  if (Number.isNaN(date.getTime())) return undefined
  return leap ? new Date(date.getTime() + 1000) : date
}

/**
 * The date of any text that has one: as RFC 3339 has it (`new Date` knows no leap seconds), else as
 * `new Date` reads it.
 *
 * @param {string} text
 */
function fromText(text) {
  const date = fromRfc3339(text) ?? new Date(text)
  return Number.isNaN(date.getTime()) ? undefined : date
}

/** Whether `toISOString()` writes a year of four digits, which `fromIso` reads. @param {number} time */
function hasIso(time) {
  return time >= FIRST && time <= LAST
}

let lastDay = Number.NaN
let lastDayText = ''

/**
 * What `new Date(time).toISOString()` writes, in a tenth of its time.
 *
 * @param {number} time
 */
function toIso(time) {
  if (!hasIso(time)) return new Date(time).toISOString()
  const day = Math.floor(time / DAY)
  const ms = time - day * DAY
  if (day !== lastDay) {
    lastDay = day
    lastDayText = new Date(time).toISOString().slice(0, 11)
  }
  const seconds = Math.floor(ms / 1000)
  const minutes = Math.floor(seconds / 60)
  const clock = `${TWO[Math.floor(minutes / 60)]}:${TWO[minutes % 60]}:${TWO[seconds % 60]}`
  return `${lastDayText}${clock}.${THREE[ms % 1000]}Z`
}

module.exports = { fromIso, fromText, hasIso, toIso }
