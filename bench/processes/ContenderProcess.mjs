import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { launchOn } from '../modes.mjs'

const FILE = fileURLToPath(new URL('contender-main.mjs', import.meta.url))

/** A contender in a process of its own, which waits for its turn. */
export class ContenderProcess {
  #child
  #name

  /**
   * @param {string} name
   * @param {import('../contenders/index.mjs').Setting} setting
   * @param {string} [cpus] any, if left out
   */
  static async open(name, setting, cpus) {
    const contender = new ContenderProcess(name, cpus)
    await contender.#call('open', name, setting)
    return contender
  }

  constructor(name, cpus) {
    this.#name = name
    this.#child = fork(FILE, launchOn(cpus, ['--expose-gc']))
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

  async close() {
    const ended = once(this.#child, 'exit')
    await this.#call('close')
    this.#child.disconnect()
    await ended
  }

  /** One request at a time. */
  async #call(name, ...args) {
    const settled = new AbortController()
    const end = once(this.#child, 'exit', settled).then(() => [{ error: 'its process has ended' }])
    const answer = once(this.#child, 'message', settled)
    end.catch(() => {})
    answer.catch(() => {})
    this.#child.send({ name, args })
    const [{ result, error }] = await Promise.race([answer, end])
    settled.abort()
    if (error !== undefined) throw new Error(`${this.#name}: ${error}`)
    return result
  }
}
