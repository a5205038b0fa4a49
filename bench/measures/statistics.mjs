/** Of latencies, microseconds. */
export function quantilesOf(micros) {
  const sorted = Float64Array.from(micros).sort()
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
  return { p50: at(0.5), p99: at(0.99) }
}

/** Median, smallest and largest of one figure over the rounds. */
export function summarize(values) {
  const sorted = Float64Array.from(values).sort()
  const half = sorted.length >> 1
  const median = sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
  return { median, min: sorted[0], max: sorted.at(-1) }
}
