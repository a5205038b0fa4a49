'use strict'

const { CallableProcess } = require('./callable-process.js')
const { familyOf, signal } = require('./processes.js')
const { until } = require('./until.js')

/** `completed`: of how many records it was told that they are. */
const SCRIPT = `
  const { DBWriteQueue } = require('./index.js')
  const queue = new DBWriteQueue(process.env.REDIS_URL, JSON.parse(process.env.OPTIONS))
  let completed = 0
  queue.on('completed', () => completed++)
  calls.completed = () => completed
  calls.getMetrics = () => queue.getMetrics()
`

/** A queue in a process of its own, which can die. */
class AuditWorker extends CallableProcess {
  /** @param {string} url of Redis @param {object} options of the queue */
  constructor(url, options) {
    super(SCRIPT, { REDIS_URL: url, OPTIONS: JSON.stringify(options) })
  }

  /** It stands still, its connections stay. */
  async pause() {
    const { pid } = this.child
    signal(pid, 'SIGSTOP')
    await until(() => familyOf(pid).every((one) => one.pid !== pid || one.stopped))
  }

  resume() {
    signal(this.child.pid, 'SIGCONT')
  }
}

module.exports = { AuditWorker }
