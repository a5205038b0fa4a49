import { Redis } from 'ioredis'
import * as reference from '../reference/index.mjs'
import { designOf } from './design.mjs'

export async function open({ redis, databaseUrl }) {
  const pubSubs = new Map()
  return designOf({
    openManager: (queue) => {
      const pubSub = new Redis(redis)
      const manager = new reference.RedisStateManager(new Redis(redis), pubSub, queue)
      pubSubs.set(manager, pubSub)
      return manager
    },
    openQueue: (options) => new Queue(redis, { databaseUrl, ...options }),
    // It has no such method: services ask for one after the other, which ioredis pipelines.
    getSessions: (manager, ids) => Promise.all(ids.map((id) => manager.getSession(id))),
    // Answered after the subscriptions that were made before.
    subscribed: (manager) => pubSubs.get(manager).ping(),
    queued: (queue) => queue.last,
  })
}

/** The manager does not await its records: the last one is in Redis after all others. */
class Queue extends reference.DBWriteQueue {
  last

  queueWrite(...record) {
    this.last = super.queueWrite(...record)
    return this.last
  }
}
