import { DBWriteQueue, RedisStateManager } from '../../index.js'
import { expiry } from '../measures/expiry.mjs'
import { footprint } from '../measures/footprint.mjs'
import { designOf } from './design.mjs'

export async function open({ redis, databaseUrl }, { url = redis, ...managerOptions }) {
  const openManager = (queue, options) =>
    new RedisStateManager(url, null, queue, { ...managerOptions, ...options })
  const design = designOf({
    openManager,
    openQueue: (options) => new DBWriteQueue(url, { databaseUrl, ...options }),
    getSessions: (manager, ids) => manager.getSessions(ids),
    subscribed: (manager) => manager.subscribed(),
    queued: async () => {}, // They are when the call has ended.
  })
  const roles = {
    ...design.roles,
    footprint: (...sizes) => footprint(openManager(), ...sizes),
    expiry: (count) => expiry((ttlSeconds) => openManager(null, { ttlSeconds }), count),
    async migrate(databaseUrl) {
      const queue = new DBWriteQueue(url, { databaseUrl, worker: false })
      await queue.migrate()
      await queue.close()
    },
  }
  return { ...design, roles }
}
