import { performance } from 'node:perf_hooks'
import { OUT_OF_STOCK } from '../contenders/index.mjs'
import { cpuPerOp, cpuTimes } from './cpu.mjs'
import { quantilesOf } from './statistics.mjs'

/**
 * What an operation does with so many calls in flight, for so long: each of the loops makes its
 * next call when the last has ended. Where it leaves work behind, that belongs to it: the turn
 * ends, and its CPU is counted, when nothing is left.
 *
 * @param {import('../contenders/index.mjs').Operation} operation
 */
export async function closedLoop({ run, settled }, inFlight, ms) {
  const micros = []
  const cpuBefore = await cpuTimes()
  const start = performance.now()
  const end = start + ms
  const loop = async (number) => {
    for (let before = performance.now(); before < end; ) {
      if ((await run(number)) === OUT_OF_STOCK) return
      const after = performance.now()
      micros.push((after - before) * 1000)
      before = after
    }
  }
  await Promise.all(Array.from({ length: inFlight }, (_, number) => loop(number)))
  const seconds = (performance.now() - start) / 1000
  const count = micros.length
  const figures = { count, ops: count / seconds, ...quantilesOf(micros) }
  if (settled) {
    await settled()
    figures.settled = count / ((performance.now() - start) / 1000)
  }
  return { ...figures, ...cpuPerOp(cpuBefore, await cpuTimes(), count) }
}
