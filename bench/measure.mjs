import { performance } from 'node:perf_hooks'

/**
 * What one contender does with so many calls in flight, for so long: each of the loops makes its
 * next call when the last has ended.
 *
 * @param {(loop: number) => Promise<unknown>} run
 */
export async function measure(run, inFlight, ms) {
  const micros = []
  const cpuBefore = process.cpuUsage()
  const loopBefore = performance.eventLoopUtilization()
  const start = performance.now()
  const end = start + ms
  const loop = async (number) => {
    for (let before = performance.now(); before < end; ) {
      await run(number)
      const after = performance.now()
      micros.push((after - before) * 1000)
      before = after
    }
  }
  await Promise.all(Array.from({ length: inFlight }, (_, number) => loop(number)))
  const seconds = (performance.now() - start) / 1000
  const cpu = process.cpuUsage(cpuBefore)
  const { utilization } = performance.eventLoopUtilization(loopBefore)
  const sorted = Float64Array.from(micros).sort()
  return {
    p50: sorted[Math.floor(0.5 * sorted.length)],
    p99: sorted[Math.floor(0.99 * sorted.length)],
    count: sorted.length,
    opsPerSecond: sorted.length / seconds,
    cpuPerOp: (cpu.user + cpu.system) / sorted.length,
    loopUtilization: utilization,
  }
}

/** Median, smallest and largest of one figure over the rounds. */
export function summarize(values) {
  const sorted = Float64Array.from(values).sort()
  const half = sorted.length >> 1
  const median = sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
  return { median, min: sorted[0], max: sorted.at(-1) }
}
