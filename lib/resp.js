'use strict'

const { Buffer } = require('node:buffer')

// What the fast path needs of RESP2.

const LF = 0x0a
const CR = 0x0d
const MINUS = 0x2d
const ZERO = 0x30

/** The first byte of a reply says what it is. */
const Type = { BULK: 0x24, ARRAY: 0x2a, STATUS: 0x2b, ERROR: MINUS, INTEGER: 0x3a }

/**
 * Where the reply that begins at `at` ends; 0 where that is to come, less than 0 where it is none.
 *
 * @param {Buffer} bytes @param {number} at @param {number} end
 * @returns {number}
 */
function replyEnd(bytes, at, end) {
  const type = bytes[at]
  if (type !== Type.BULK && type !== Type.ARRAY) {
    if (type !== Type.STATUS && type !== Type.ERROR && type !== Type.INTEGER) return -1
    const line = bytes.indexOf(LF, at) + 1
    return line <= end ? line : 0
  }
  let number = 0
  let next = at + 1
  if (bytes[next] === MINUS) {
    // -1: there is none.
    next += 4
    return next <= end ? next : 0
  }
  for (; next < end && bytes[next] !== CR; next++) {
    number = number * 10 + /** @type {number} */ (bytes[next]) - ZERO
  }
  next += 2
  if (next > end) return 0
  if (type === Type.BULK) {
    next += number + 2
    return next <= end ? next : 0
  }
  for (; number > 0; number--) {
    if (next >= end) return 0
    next = replyEnd(bytes, next, end)
    if (next <= 0) return next
  }
  return next
}

/**
 * How long the reply that begins at `at` is at least; its end is to come.
 *
 * @param {Buffer} bytes @param {number} at @param {number} end
 */
function leastLength(bytes, at, end) {
  const line = bytes.indexOf(LF, at) + 1
  const isKnown = bytes[at] === Type.BULK && line > 0 && line <= end
  return isKnown ? line - at + digits(bytes, at + 1, line - 2) + 2 : end - at + 1
}

/** What a whole integer reply says. @param {Buffer} bytes @param {number} at @param {number} end */
function integer(bytes, at, end) {
  return digits(bytes, at + 1, end - 2)
}

/** What a whole bulk reply says. @param {Buffer} bytes @param {number} at @param {number} end */
function bulk(bytes, at, end) {
  if (bytes[at + 1] === MINUS) return null
  return bytes.toString('utf8', bytes.indexOf(LF, at) + 1, end - 2)
}

/** Calls back with where each part of a whole array begins and ends. */
function eachPart(
  /** @type {Buffer} */ bytes,
  /** @type {number} */ at,
  /** @type {number} */ end,
  /** @type {(at: number, end: number) => void} */ callback,
) {
  for (let next = bytes.indexOf(LF, at) + 1; next < end; ) {
    const begin = next
    next = replyEnd(bytes, begin, end)
    callback(begin, next)
  }
}

/** @param {Buffer} bytes @param {number} from @param {number} to */
function digits(bytes, from, to) {
  const negative = bytes[from] === MINUS
  let value = 0
  for (let at = negative ? from + 1 : from; at < to; at++) {
    value = value * 10 + /** @type {number} */ (bytes[at]) - ZERO
  }
  return negative ? -value : value
}

/** @param {string[]} command */
function packed(command) {
  return `*${command.length}\r\n${command.map(text).join('')}`
}

/** A word of a command. @param {string | number} value in ASCII */
function word(value) {
  const text = `${value}`
  return `$${text.length}\r\n${text}\r\n`
}

/** A word of a command, whatever is in it. @param {string} value */
function text(value) {
  return `$${Buffer.byteLength(value)}\r\n${value}\r\n`
}

/** @param {string} value */
function isAscii(value) {
  return Buffer.byteLength(value) === value.length
}

module.exports = {
  Type,
  bulk,
  eachPart,
  integer,
  isAscii,
  leastLength,
  packed,
  replyEnd,
  text,
  word,
}
