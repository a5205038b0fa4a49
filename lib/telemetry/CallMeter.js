'use strict'

const { now } = require('../realm/clock.js')
const { deliveredAt } = require('../realm/Delivery.js')
const { StateError } = require('../realm/errors.js')

/**
 * The upper bounds of the buckets of a duration, in seconds: those that OpenTelemetry gives for
 * `db.client.operation.duration`. A last bucket has no bound.
 */
const BOUNDS = Object.freeze([0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10])

const LAST = BOUNDS.length
/** How many numbers the histogram of a method takes: its buckets, and the sum of its durations. */
const WIDTH = LAST + 2
const SUM = WIDTH - 1

/** The outcome of a call whose error is not of this module: a callback of the caller's has thrown it. */
const OTHER = 'OTHER'

/**
 * Counts the calls of one owner by method and outcome, and how long they took. A method has the number
 * of its place in the list of names.
 *
 * Counting a call must cost less than 100 ns. So all histograms are in one array of numbers, a call
 * leaves nothing behind to be collected, and successful calls are those that have not failed.
 */
class CallMeter {
  #names
  #histograms
  /** By method, how many calls have failed with each code. @type {Map<string, number>[]} */
  #failures

  /** @param {readonly string[]} names of the methods */
  constructor(names) {
    this.#names = names
    this.#histograms = new Float64Array(names.length * WIDTH)
    this.#failures = names.map(() => new Map())
  }

  /**
   * Counts a call that has succeeded. Returns its result.
   *
   * @template T
   * @param {number} method
   * @param {number} began when it was called, by `clock.now()`
   * @param {T} result
   * @param {number} [ended] by default when the answer came that was awaited last
   */
  ok(method, began, result, ended = deliveredAt()) {
    this.#lasted(method, (ended - began) / 1000)
    return result
  }

  /**
   * Counts a call that has failed. Returns its error.
   *
   * @param {number} method
   * @param {number} began
   * @param {unknown} error
   */
  failed(method, began, error) {
    this.#lasted(method, (now() - began) / 1000)
    const failures = /** @type {Map<string, number>} */ (this.#failures[method])
    const code = error instanceof StateError ? error.code : OTHER
    failures.set(code, (failures.get(code) ?? 0) + 1)
    return error
  }

  /** @param {number} method @param {number} seconds */
  #lasted(method, seconds) {
    const histograms = /** @type {any} */ (this.#histograms)
    const at = method * WIDTH
    let bucket = 0
    while (bucket < LAST && seconds > /** @type {number} */ (BOUNDS[bucket])) bucket++
    histograms[at + bucket]++
    histograms[at + SUM] += seconds
  }

  /** What was counted so far. @returns {import('../../state/metrics.js').CallMetrics} */
  read() {
    const calls = this.#names.map((name, method) => {
      const failures = /** @type {Map<string, number>} */ (this.#failures[method])
      const failed = [...failures.values()].reduce((sum, count) => sum + count, 0)
      const ok = this.#duration(method).count - failed
      return [name, { ok, ...Object.fromEntries(failures) }]
    })
    const durations = this.#names.map((name, method) => [name, this.#duration(method)])
    return { calls: Object.fromEntries(calls), durations: Object.fromEntries(durations) }
  }

  /** @param {number} method */
  #duration(method) {
    const numbers = [...this.#histograms.subarray(method * WIDTH, (method + 1) * WIDTH)]
    const sum = /** @type {number} */ (numbers.pop())
    return { buckets: numbers, sum, count: numbers.reduce((total, count) => total + count, 0) }
  }
}

module.exports = { CallMeter }
