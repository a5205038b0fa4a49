import process from 'node:process'
import { setTimeout } from 'node:timers/promises'
import { makeSession } from '../workload/session.mjs'

const AT_ONCE = 100
/** How often the memory is looked at while the process rests, ms. */
const LOOK_MS = 500

/**
 * The memory of this process while its store holds so many sessions of so many bytes each: at once
 * (`peak`), and the least while it rests (`rss`), as V8 gives memory back only then.
 *
 * @param {object} manager of a store that is in this process; it is closed
 * @param {number} count
 * @param {number} bytes of a session's JSON text
 * @param {number} restMs
 */
export async function footprint(manager, count, bytes, restMs) {
  const missing = bytes - JSON.stringify({ ...makeSession(), padding: '' }).length
  if (missing < 0) throw new Error(`a session has more than ${bytes} bytes`)
  const padding = 'x'.repeat(missing)
  for (let made = 0; made < count; made += AT_ONCE) {
    const create = () => manager.createSession({ ...makeSession(), padding })
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - made) }, create))
  }
  const peak = megabytes()
  let rss = peak
  for (let rested = 0; rested < restMs; rested += LOOK_MS) {
    await setTimeout(LOOK_MS)
    rss = Math.min(rss, megabytes())
  }
  await manager.close()
  return { count, peak, rss }
}

function megabytes() {
  globalThis.gc()
  return process.memoryUsage.rss() / 1e6
}
