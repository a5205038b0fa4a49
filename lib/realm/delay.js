'use strict'

const { close, listen, open, unlisten } = require('./settle.js')

/**
 * Calls `elapsed` after a time. The core measures it: a test's fake timers do not stop it.
 *
 * @param {number} ms
 * @param {() => void} elapsed
 * @param {{ keepsAlive: boolean }} options whether the process stays alive meanwhile
 * @returns {() => void} cancels it
 */
function after(ms, elapsed, { keepsAlive }) {
  const completions = open()
  let isPending = true
  const cancel = () => {
    if (!isPending) return
    isPending = false
    unlisten(timer)
    if (keepsAlive) completions.release()
    close()
  }
  const timer = listen({
    news: () => {
      cancel()
      elapsed()
    },
  })
  if (keepsAlive) completions.hold()
  completions.after(timer, ms)
  return cancel
}

/** Resolves after a time, in which the process stays alive. @param {number} ms */
function delay(ms) {
  return new Promise((resolve) => after(ms, () => resolve(undefined), { keepsAlive: true }))
}

module.exports = { after, delay }
