'use strict'

const { startScript } = require('./child.js')

/** What every script begins with: it serves the functions that it puts into `calls`, by name. */
const SERVE = `
  const calls = {}
  process.on('message', async ({ number, name, args }) => {
    try {
      process.send({ number, result: await calls[name](...args) })
    } catch (error) {
      process.send({ number, error: String(error) })
    }
  })
  process.on('disconnect', () => process.exit())
`

/** A Node process that serves calls. It ends with whoever started it. */
class CallableProcess {
  #calls = new Map()
  #last = 0

  /** @param {string} source of the script @param {Record<string, string>} env */
  constructor(source, env) {
    const { child, ended } = startScript(SERVE + source, { env, ipc: true, timeoutMs: 60_000 })
    this.child = child
    this.ended = ended
    child.on('message', ({ number, result, error }) => {
      const { resolve, reject } = this.#calls.get(number)
      this.#calls.delete(number)
      if (error === undefined) resolve(result)
      else reject(new Error(error))
    })
  }

  call(name, ...args) {
    const number = ++this.#last
    return new Promise((resolve, reject) => {
      this.#calls.set(number, { resolve, reject })
      this.child.send({ number, name, args })
    })
  }

  /** As the power goes. */
  async kill() {
    this.child.kill('SIGKILL')
    await this.ended
  }

  close() {
    return this.kill()
  }
}

module.exports = { CallableProcess }
