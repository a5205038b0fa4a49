'use strict'

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * Tries until it succeeds; what else fails than a conflict is passed on. The pause after a conflict
 * grows at random, as in an Ethernet: without one, 200 writers of one session would mostly read
 * what another one is about to change.
 *
 * @returns {Promise<number>} how many conflicts there were
 */
async function increment(attempt, Conflict) {
  for (let conflicts = 0; ; conflicts++) {
    try {
      await attempt()
      return conflicts
    } catch (error) {
      if (!(error instanceof Conflict)) throw error
      await sleep(Math.random() * Math.min(2 ** conflicts, 256))
    }
  }
}

/** Starts on the parent's word, and tells it of the conflicts at the end. */
async function run({ connect, increment, close }) {
  const [writers, increments] = [process.env.WRITERS, process.env.INCREMENTS].map(Number)
  await connect()
  const go = new Promise((resolve) => process.once('message', resolve))
  process.send('ready')
  await go
  let conflicts = 0
  let done = 0
  const write = async () => {
    for (let left = increments; left > 0; left--) {
      conflicts += await increment()
      done++
    }
  }
  await Promise.all(Array.from({ length: writers }, write))
  await close()
  process.send({ conflicts, done }, () => process.disconnect())
}

module.exports = { increment, run }
