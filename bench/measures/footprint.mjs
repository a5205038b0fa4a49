import process from 'node:process'
import { makeSession } from '../workload/session.mjs'

const AT_ONCE = 1000

/**
 * The memory of this process while its store holds so many sessions of so many bytes each.
 *
 * @param {object} manager of a store that is in this process; it is closed
 * @param {number} count
 * @param {number} bytes of a session's JSON text
 */
export async function footprint(manager, count, bytes) {
  const missing = bytes - JSON.stringify({ ...makeSession(), padding: '' }).length
  if (missing < 0) throw new Error(`a session has more than ${bytes} bytes`)
  const padding = 'x'.repeat(missing)
  for (let made = 0; made < count; made += AT_ONCE) {
    const create = () => manager.createSession({ ...makeSession(), padding })
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - made) }, create))
  }
  globalThis.gc()
  const megabytes = process.memoryUsage.rss() / 1e6
  await manager.close()
  return { count, rss: megabytes }
}
