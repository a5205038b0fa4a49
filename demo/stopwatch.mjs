/** Milliseconds of the machine's monotonic clock, the same in all processes on it. */
export const machineMs = () => Number(process.hrtime.bigint()) / 1e6

/** How long each method's calls took, whether they succeeded or not. */
export class Stopwatch {
  /** @type {Record<string, number[]>} */
  times = {}

  note(name, ms) {
    this.times[name] ??= []
    this.times[name].push(ms)
  }

  async time(name, call) {
    const start = machineMs()
    try {
      return await call()
    } finally {
      this.note(name, machineMs() - start)
    }
  }
}
