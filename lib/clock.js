'use strict'

// What is here is taken when the module is loaded, before anybody's fake clock can be: calls have
// deadlines also in a test that stops the time.

const timers = require('node:timers')
// And not `performance.now()`: to load `node:perf_hooks` takes a tenth of the time in which this
// module is loaded.
const { hrtime } = process

const { setImmediate } = timers
const resolved = Promise.resolve()

/** Milliseconds on a clock that is never set. */
function now() {
  const [seconds, nanoseconds] = hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}

/** After what runs now, before anything else. A fake clock may have `queueMicrotask`. @param {() => void} task */
function soon(task) {
  resolved.then(task)
}

module.exports = { now, setImmediate, soon }
