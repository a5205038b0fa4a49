'use strict'

/**
 * Polls until `condition` returns something truthy, and returns that; throws at the deadline.
 *
 * @template T
 * @param {() => T | Promise<T>} condition
 * @param {number} [timeoutMs]
 */
async function until(condition, timeoutMs = 10_000) {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const value = await condition()
    if (value) return value
    if (performance.now() > deadline) {
      throw new Error(`not within ${timeoutMs} ms: ${condition}`)
    }
    await sleep(5)
  }
}

/** For what must last a while, never for what should have happened by then. */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

module.exports = { sleep, until }
