'use strict'

const { Buffer } = require('node:buffer')
const { types } = require('node:util')
const { InvalidStateError } = require('../realm/errors.js')

/**
 * A command: its name as the method has it, its words as they are sent, and whether its reply is to
 * hold buffers in place of strings.
 *
 * @typedef {{ name: string, words: (string | Uint8Array)[], asBuffers: boolean }} Command
 */

/** The commands whose last argument may be an object or a Map, and what comes before it. */
const TAKES_PAIRS = new Map([
  ['mset', 0],
  ['msetnx', 0],
  ['hset', 1],
  ['hmset', 1],
])

/**
 * A command of a method: its arguments are read as ioredis reads them.
 *
 * @param {string} name
 * @param {any[]} args
 * @param {boolean} asBuffers
 * @returns {Command}
 */
function commandOf(name, args, asBuffers) {
  return { name, words: [name, ...withPairs(name, args.flat()).map(toWord)], asBuffers }
}

/**
 * A command of `call()`: what is neither text, a number nor bytes is refused.
 *
 * @param {any} name
 * @param {any[]} args
 * @param {boolean} asBuffers
 * @returns {Command}
 */
function strictCommandOf(name, args, asBuffers) {
  const words = [name, ...args.flat()]
  for (const word of words) {
    if (typeof word === 'string' || typeof word === 'number' || types.isUint8Array(word)) continue
    throw new InvalidStateError('command', 'an argument is no string, number or buffer')
  }
  return { name: 'call', words: words.map(toWord), asBuffers }
}

/** @param {string} name @param {any[]} args */
function withPairs(name, args) {
  const before = TAKES_PAIRS.get(name)
  const last = args[before ?? 0]
  if (before === undefined || args.length !== before + 1) return args
  if (typeof last !== 'object' || last === null || types.isUint8Array(last)) return args
  const pairs = types.isMap(last) ? [...last] : Object.entries(last)
  return [...args.slice(0, before), ...pairs.flat()]
}

/** @param {any} arg @returns {string | Uint8Array} */
function toWord(arg) {
  if (typeof arg === 'string' || types.isUint8Array(arg)) return arg
  if (arg === null || arg === undefined) return ''
  // `String` writes a large integer with an exponent, which Redis does not read.
  const isLarge = Number.isInteger(arg) && !Number.isSafeInteger(arg)
  return isLarge ? BigInt(arg).toString() : String(arg)
}

/**
 * Commands in one buffer: for each the number of its words (u32, little-endian), and for each word
 * its length (the same) and its bytes.
 *
 * @param {Command[]} commands
 */
function pack(commands) {
  const lengths = commands.map(({ words }) => words.map(lengthOf))
  const length = lengths.flat().reduce((sum, one) => sum + one + 4, commands.length * 4)
  const packed = Buffer.allocUnsafe(length)
  let at = 0
  for (const [index, { words }] of commands.entries()) {
    at = packed.writeUInt32LE(words.length, at)
    for (const [place, word] of words.entries()) {
      const bytes = /** @type {number} */ (lengths[index]?.[place])
      at = packed.writeUInt32LE(bytes, at)
      if (typeof word === 'string') packed.write(word, at)
      else packed.set(word, at)
      at += bytes
    }
  }
  return packed
}

/** @param {string | Uint8Array} word */
function lengthOf(word) {
  return typeof word === 'string' ? Buffer.byteLength(word) : word.length
}

module.exports = { commandOf, pack, strictCommandOf }
