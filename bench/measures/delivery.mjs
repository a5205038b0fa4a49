import process from 'node:process'
import { until } from '../../__test__/harness/until.js'
import { quantilesOf } from './statistics.mjs'

/** On the clock that all processes of a machine share. */
export function microsNow() {
  const [seconds, nanos] = process.hrtime()
  return seconds * 1e6 + nanos / 1000
}

/** How long messages took, from the call in another process to the callback in this one. */
export class Deliveries {
  count = 0
  #micros = []

  /** @param {number | undefined} sentAt where it is a message that tells */
  heard(sentAt) {
    this.count++
    if (sentAt !== undefined) this.#micros.push(microsNow() - sentAt)
  }

  /** All that were heard since it was last asked; there must be so many. */
  async take(count) {
    await until(() => this.#micros.length >= count, 10_000)
    const micros = this.#micros.splice(0)
    if (micros.length > count) throw new Error(`${micros.length} of ${count} messages were heard`)
    return { count, ...quantilesOf(micros) }
  }
}
