import { DBWriteQueue, RedisStateManager } from '../../index.js'
import { designOf } from './design.mjs'

export async function open({ redis, databaseUrl }, managerOptions) {
  return designOf({
    openManager: (queue) => new RedisStateManager(redis, null, queue, managerOptions),
    openQueue: (options) => new DBWriteQueue(redis, { databaseUrl, ...options }),
    getSessions: (manager, ids) => manager.getSessions(ids),
    subscribed: (manager) => manager.subscribed(),
    queued: async () => {}, // They are when the call has ended.
  })
}
