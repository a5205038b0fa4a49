import { DBWriteQueue, RedisStateManager } from '../../index.js'
import { recordLatency } from '../measures/carrying.mjs'
import { expiry } from '../measures/expiry.mjs'
import { footprint } from '../measures/footprint.mjs'
import { openInstances } from '../measures/instances.mjs'
import { designOf } from './design.mjs'

export async function open({ redis, one, databaseUrl }, options) {
  const { alone = false, url = alone ? one : redis, ...managerOptions } = options
  const openManager = (queue, options) =>
    new RedisStateManager(url, null, queue, { ...managerOptions, ...options })
  const design = designOf({
    openManager,
    openQueue: (options) => new DBWriteQueue(url, { databaseUrl, ...options }),
    getSessions: (manager, ids) => manager.getSessions(ids),
    subscribed: (manager) => manager.subscribed(),
    queued: async () => {}, // They are when the call has ended.
  })
  let instances
  const roles = {
    ...design.roles,
    footprint: (...sizes) => footprint(openManager(), ...sizes),
    async instances(count) {
      instances = await openInstances(url, count)
    },
    listen: () => instances.listen(),
    /** Of a session each. */
    async recordLatency(count) {
      const size = { loops: count, participants: 2 }
      const { run, settled } = await design.operations['update, carried'](size)
      await settled()
      let loop = 0
      return recordLatency(() => run(loop++), databaseUrl, count)
    },
    expiry: (count) => expiry((ttlSeconds) => openManager(null, { ttlSeconds }), count),
    async migrate(databaseUrl) {
      const queue = new DBWriteQueue(url, { databaseUrl, worker: false })
      await queue.migrate()
      await queue.close()
    },
  }
  const close = async () => {
    await instances?.close()
    await design.close()
  }
  return { ...design, roles, close }
}
