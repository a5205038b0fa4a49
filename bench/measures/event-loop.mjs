import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import { cpuPerOp, cpuTimes } from './cpu.mjs'

/** Milliseconds. An idle event loop is as late as this: it is not counted. */
const RESOLUTION = 1

/**
 * How late the event loop of a subscriber is while messages arrive: what a timer of its service
 * waits longer than it should.
 *
 * @param {number} ms how long to watch
 * @param {() => number} heard how many messages have been
 */
export async function watchEventLoop(ms, heard) {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION })
  const cpuBefore = await cpuTimes()
  const countBefore = heard()
  const start = performance.now()
  histogram.enable()
  await setTimeout(ms)
  histogram.disable()
  const count = heard() - countBefore
  const seconds = (performance.now() - start) / 1000
  const late = (nanos) => Math.max(0, nanos / 1000 - RESOLUTION * 1000)
  return {
    count,
    ops: count / seconds,
    p50: late(histogram.percentile(50)),
    p99: late(histogram.percentile(99)),
    ...cpuPerOp(cpuBefore, await cpuTimes(), count),
  }
}
