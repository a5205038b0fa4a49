'use strict'

/** Of all of Node's clocks this is the one that fake timers do not replace. */
const { uptime } = process

/** Milliseconds on a clock that is never set. */
function now() {
  return uptime() * 1000
}

module.exports = { now }
