import process from 'node:process'

const IN_FLIGHT = 64
/** Of so many calls one goes to the second operation. */
const SHARE = 5

/**
 * The memory of this process after a few calls and after many.
 *
 * @param {import('../contenders/index.mjs').Operation[]} operations most calls go to the first
 * @param {{ few: number, many: number }} calls
 */
export async function soak([most, some], { few, many }) {
  let calls = 0
  const run = async (limit) => {
    const loop = async (number) => {
      while (calls < limit) await (calls++ % SHARE === 0 ? some : most).run(number)
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, (_, number) => loop(number)))
    globalThis.gc()
    return process.memoryUsage.rss()
  }
  return { few: await run(few), many: await run(many) }
}
