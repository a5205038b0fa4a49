'use strict'

const { CallableProcess } = require('./callable-process.js')

/** A call that has not settled by then will not: past every deadline, and short of a test's own. */
const LONGEST_MS = 10_000

/** A process whose one manager talks to a server that may do anything to it. */
class Probe {
  #process
  #died

  /** @param {string} url @param {object} [options] of the manager */
  constructor(url, options = {}) {
    this.#process = new CallableProcess(SOURCE, {
      REDIS_URL: url,
      OPTIONS: JSON.stringify(options),
    })
    this.#died = this.#process.ended.then(({ code, signal, stderr }) => {
      throw new Error(`the process ended, ${code ?? signal}: ${stderr.slice(0, 2000)}`)
    })
    this.#died.catch(() => {})
  }

  /**
   * Calls one of the manager's methods.
   *
   * @returns {Promise<{ name: string, message: string, value: any, ms: number, grownMB: number }>} its outcome
   *   (`name`: `done`, or the error's), after how long, and by how much the process has grown since
   *   its first call
   */
  call(method, ...args) {
    return this.#ask('call', method, args)
  }

  /** Closes the manager. @returns {Promise<{ ms: number, grownMB: number }>} */
  close() {
    return this.#ask('close')
  }

  async end() {
    await this.#process.kill()
  }

  async #ask(name, ...args) {
    let timer
    const overdue = new Promise((_resolve, reject) => {
      const error = new Error(`${name}(${args}) has not settled after ${LONGEST_MS} ms`)
      timer = setTimeout(() => reject(error), LONGEST_MS)
    })
    try {
      return await Promise.race([this.#process.call(name, ...args), this.#died, overdue])
    } finally {
      clearTimeout(timer)
    }
  }
}

const SOURCE = `
  const { RedisStateManager } = require('./index.js')
  const manager = new RedisStateManager(process.env.REDIS_URL, null, null, JSON.parse(process.env.OPTIONS))
  const sizeOf = () => process.memoryUsage.rss() / 2 ** 20
  const before = sizeOf()
  let most = before
  setInterval(() => { most = Math.max(most, sizeOf()) }, 20)
  const timed = async (work) => {
    const started = performance.now()
    const outcome = await work().then(
      (value) => ({ name: 'done', value }),
      ({ name, message }) => ({ name, message }),
    )
    const ms = performance.now() - started
    return { ...outcome, ms, grownMB: Math.max(most, sizeOf()) - before }
  }
  calls.call = (method, args) => timed(() => manager[method](...args))
  calls.close = () => timed(() => manager.close())
`

module.exports = { Probe }
