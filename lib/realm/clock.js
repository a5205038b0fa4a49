'use strict'

const { performance } = require('node:perf_hooks')

const { uptime } = process

/** Of the prototype: fake timers replace the `now` of the object. Bun's has none there. */
const { now: read } = Object.getPrototypeOf(performance)

/**
 * Milliseconds on a clock that is never set, and that fake timers do not replace. `process.uptime` is
 * such a clock everywhere, and costs twice as much.
 *
 * @type {() => number}
 */
const now = read === undefined ? () => uptime() * 1000 : () => read.call(performance)

module.exports = { now }
