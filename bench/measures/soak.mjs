import process from 'node:process'

const IN_FLIGHT = 64
/** Of so many calls one goes to the second operation. */
const SHARE = 5

/**
 * The memory of this process after so many calls, and after so many more.
 *
 * @param {import('../contenders/index.mjs').Operation[]} operations most calls go to the first
 * @param {number[]} steps numbers of calls, growing
 * @returns {Promise<{ calls: number, rss: number }[]>}
 */
export async function soak([most, some], steps) {
  const seen = []
  let made = 0
  for (const calls of steps) {
    const loop = async (number) => {
      while (made < calls) await (made++ % SHARE === 0 ? some : most).run(number)
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, (_, number) => loop(number)))
    globalThis.gc()
    seen.push({ calls, rss: process.memoryUsage.rss() })
  }
  return seen
}
