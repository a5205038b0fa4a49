'use strict'

const { startScript } = require('./child.js')
const { familyOf, signal } = require('./processes.js')
const { until } = require('./until.js')

/** Serves calls by name, and counts the events. Ends with whoever started it. */
const SCRIPT = `
  const { DBWriteQueue } = require('./index.js')
  const queue = new DBWriteQueue(process.env.REDIS_URL, JSON.parse(process.env.OPTIONS))
  let completed = 0
  queue.on('completed', () => completed++)
  const calls = { completed: () => completed }
  process.on('message', async ({ number, name, args }) => {
    const result = await (calls[name] ? calls[name]() : queue[name](...args))
    process.send({ number, result })
  })
  process.on('disconnect', () => process.exit())
`

/** A queue in a process of its own, which can die. */
class AuditWorker {
  #child
  #calls = new Map()
  #last = 0

  /** @param {string} url of Redis @param {object} options of the queue */
  constructor(url, options) {
    const env = { REDIS_URL: url, OPTIONS: JSON.stringify(options) }
    const { child, ended } = startScript(SCRIPT, { env, ipc: true, timeoutMs: 60_000 })
    this.#child = child
    this.ended = ended
    child.on('message', ({ number, result }) => {
      this.#calls.get(number)(result)
      this.#calls.delete(number)
    })
  }

  /** A method of its queue, or `completed`: of how many records it was told that they are. */
  call(name, ...args) {
    const number = ++this.#last
    return new Promise((resolve) => {
      this.#calls.set(number, resolve)
      this.#child.send({ number, name, args })
    })
  }

  /** As the power goes. */
  async kill() {
    this.#child.kill('SIGKILL')
    await this.ended
  }

  /** It stands still, its connections stay. */
  async pause() {
    const { pid } = this.#child
    signal(pid, 'SIGSTOP')
    await until(() => familyOf(pid).every((one) => one.pid !== pid || one.stopped))
  }

  resume() {
    signal(this.#child.pid, 'SIGCONT')
  }

  close() {
    return this.kill()
  }
}

module.exports = { AuditWorker }
