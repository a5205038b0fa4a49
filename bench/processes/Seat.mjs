import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const FILE = fileURLToPath(new URL('contender-main.mjs', import.meta.url))

/** Where a contender sits, in a process of its own, and waits for its turn. */
export class Seat {
  #child
  #name

  /** @param {string} name @param {import('../contenders/index.mjs').Setting} setting */
  static async take(name, setting) {
    const seat = new Seat(name)
    await seat.#call('open', name, setting)
    return seat
  }

  constructor(name) {
    this.#name = name
    this.#child = fork(FILE, { execArgv: ['--expose-gc'] })
  }

  /** Figures of so many milliseconds. */
  turn(cell, ms) {
    return this.#call('turn', cell, ms)
  }

  /** Makes ready what a turn needs. */
  prepare(cell) {
    return this.#call('prepare', cell)
  }

  /** One call. */
  once(cell) {
    return this.#call('once', cell)
  }

  role(name, ...args) {
    return this.#call('role', name, ...args)
  }

  /** Memory after so many calls. */
  soak(cells, steps) {
    return this.#call('soak', cells, steps)
  }

  async leave() {
    const ended = once(this.#child, 'exit')
    await this.#call('close')
    this.#child.disconnect()
    await ended
  }

  /** One thing at a time. */
  async #call(name, ...args) {
    const gone = new AbortController()
    const end = once(this.#child, 'exit', gone).then(() => [{ error: 'its process has ended' }])
    const answer = once(this.#child, 'message', gone)
    end.catch(() => {})
    answer.catch(() => {})
    this.#child.send({ name, args })
    const [{ result, error }] = await Promise.race([answer, end])
    gone.abort()
    if (error !== undefined) throw new Error(`${this.#name}: ${error}`)
    return result
  }
}
