import { RedisStateManager } from '../../index.js'
import { oneOfEachPartition } from '../workload/partitions.mjs'

/** How many updates of a partition an instance has in flight. */
const TOGETHER = 4

/**
 * Managers with a client each, as so many instances of a service have them, each of which has written to
 * all partitions of a cluster, and which can listen.
 *
 * @returns {Promise<{ listen: () => Promise<void>, close: () => Promise<void> }>}
 */
export async function openInstances(url, count) {
  const managers = Array.from({ length: count }, () => new RedisStateManager(url))
  for (const manager of managers) {
    const sessions = Array.from({ length: TOGETHER }, oneOfEachPartition).flat()
    await Promise.all(sessions.map((state) => manager.createSession(state)))
    const update = (state) => manager.updateSession(state.session_id, state, 1)
    await Promise.all(sessions.map(update))
  }
  return {
    async listen() {
      for (const manager of managers) manager.subscribeToUpdates(() => {})
      await Promise.all(managers.map((manager) => manager.subscribed()))
    },
    close: () => Promise.all(managers.map((manager) => manager.close())),
  }
}
