import { Redis } from 'ioredis'
import { DBWriteQueue, RedisStateManager } from '../index.mjs'
import { lockedUpdates } from './locked-updates.mjs'
import * as reference from './reference/index.mjs'

/**
 * A locked update whose audit record waits in Redis when it is done. Nothing writes it to
 * PostgreSQL meanwhile: that is measured by itself, in drain.mjs.
 *
 * @type {import('./contenders.mjs').Contender[]}
 */
export const auditedContenders = [
  {
    name: 'synckairos-state updateSession, audited',
    operation: 'audited update',
    goals: { 1: { figure: 'p50', atMost: 0.4 }, 64: { figure: 'opsPerSecond', atLeast: 6 } },
    async open({ url, loops }) {
      const queue = new DBWriteQueue(url, { worker: false })
      const manager = new RedisStateManager(url, undefined, queue)
      const run = await lockedUpdates(manager, loops)
      return { run, close: () => Promise.all([manager.close(), queue.close()]) }
    },
  },
  {
    name: 'reference design: ioredis, BullMQ',
    operation: 'audited update',
    baseline: true,
    async open({ url, loops }) {
      const queue = new reference.DBWriteQueue(url, { worker: false })
      // The manager does not await its records. The last one is in Redis after all others.
      let last
      const queueWrite = (...record) => {
        last = queue.queueWrite(...record)
        return last
      }
      const manager = new reference.RedisStateManager(new Redis(url), undefined, { queueWrite })
      const run = await lockedUpdates(manager, loops)
      return {
        run,
        settled: () => last,
        close: () => Promise.all([manager.close(), queue.close()]),
      }
    },
  },
]
