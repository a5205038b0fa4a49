import { Redis } from 'ioredis'
import { DBWriteQueue, RedisStateManager } from '../index.js'
import { lockedUpdates } from './locked-updates.mjs'
import * as reference from './reference/index.mjs'
import { drained } from './waiting-records.mjs'

/**
 * A locked update with its audit, as a service runs it: a worker in the same process carries the
 * records to PostgreSQL meanwhile. Each turn ends when all of its records are there: the reference
 * acknowledges four times as many as it stores, and would have a backlog for each turn that follows.
 *
 * @type {import('./contenders.mjs').Contender[]}
 */
export const auditedContenders = [
  {
    name: 'synckairos-state updateSession, audited',
    operation: 'audited update',
    goals: {
      1: [{ figure: 'p50', atMost: 0.4 }],
      64: [
        { figure: 'opsPerSecond', atLeast: 6 },
        { figure: 'settledPerSecond', atLeast: 6 },
      ],
    },
    async open({ url, databaseUrl, loops }) {
      const queue = new DBWriteQueue(url, { databaseUrl })
      const manager = new RedisStateManager(url, undefined, queue)
      const run = await lockedUpdates(manager, loops)
      return {
        run,
        settled: () => drained(queue, 120_000),
        close: () => Promise.all([manager.close(), queue.close()]),
      }
    },
  },
  {
    name: 'reference design: ioredis, BullMQ',
    operation: 'audited update',
    baseline: true,
    async open({ url, databaseUrl, loops }) {
      const queue = new reference.DBWriteQueue(url, { databaseUrl })
      // The manager does not await its records. The last one is in Redis after all others.
      let last
      const queueWrite = (...record) => {
        last = queue.queueWrite(...record)
        return last
      }
      const manager = new reference.RedisStateManager(new Redis(url), undefined, { queueWrite })
      const run = await lockedUpdates(manager, loops)
      const settled = async () => {
        await last
        await drained(queue, 120_000)
      }
      return { run, settled, close: () => Promise.all([manager.close(), queue.close()]) }
    },
  },
]
