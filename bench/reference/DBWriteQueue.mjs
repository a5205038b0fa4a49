import { Queue, Worker } from 'bullmq'
import { AuditTables } from './AuditTables.mjs'

/**
 * The write queue of services today: a BullMQ job a change, one PostgreSQL transaction a job, up
 * to ten at once.
 */
export class DBWriteQueue {
  #queue
  #worker
  #tables

  /**
   * @param {string | object} redis its URL, or options of ioredis
   * @param {object} [options] with `worker: false` it only enqueues
   */
  constructor(redis, options = {}) {
    const { attempts = 5, backoffDelay = 2000, queueName = 'db-writes' } = options
    const { databaseUrl = process.env.DATABASE_URL, worker = true } = options
    const address = typeof redis === 'string' ? { url: redis } : redis
    const connection = { ...address, maxRetriesPerRequest: null }
    this.#queue = new Queue(queueName, {
      connection,
      defaultJobOptions: {
        attempts,
        backoff: { type: 'exponential', delay: backoffDelay },
        // Enough to look at; all of them would fill Redis.
        removeOnComplete: { count: 100 },
        removeOnFail: { age: 7 * 24 * 3600 },
      },
    })
    this.#queue.on('error', () => {}) // It reconnects by itself.
    if (!worker) return
    this.#tables = new AuditTables(databaseUrl)
    this.#worker = new Worker(queueName, ({ data }) => this.#tables.store(data), {
      connection,
      concurrency: 10,
    })
    this.#worker.on('error', () => {})
  }

  async queueWrite(sessionId, state, eventType) {
    await this.#queue.add(eventType, { sessionId, state, eventType, timestamp: Date.now() })
  }

  async getMetrics() {
    const counts = await this.#queue.getJobCounts(
      'waiting',
      'active',
      'completed',
      'failed',
      'delayed',
    )
    const { waiting, active, completed, failed, delayed } = counts
    return { waiting, active, completed, failed, delayed }
  }

  async close(force = false) {
    await this.#worker?.close(force)
    await this.#queue.close()
    await this.#tables?.close()
  }
}
