import fs from 'node:fs'
import process from 'node:process'
import { setTimeout } from 'node:timers/promises'

/** The main thread's, whose id is the process'. */
const SCHEDSTAT = `/proc/self/task/${process.pid}/schedstat`

const readThread = threadClock()

/**
 * CPU time so far, microseconds: of this process with all its threads, and of the thread that runs
 * JavaScript, where that can be told.
 */
export async function cpuTimes() {
  // Linux brings the figures of a thread up to date when it stops running.
  await setTimeout(1)
  const { user, system } = process.cpuUsage()
  return { process: user + system, thread: readThread() }
}

function threadClock() {
  if (process.threadCpuUsage) {
    return () => {
      const { user, system } = process.threadCpuUsage()
      return user + system
    }
  }
  if (fs.existsSync(SCHEDSTAT)) {
    return () => Number(fs.readFileSync(SCHEDSTAT, 'utf8').split(' ')[0]) / 1000
  }
  return () => undefined
}

/** What so many operations cost each, microseconds. */
export function cpuPerOp(before, after, count) {
  const figures = { cpu: (after.process - before.process) / count }
  if (after.thread !== undefined) figures.jsCpu = (after.thread - before.thread) / count
  return figures
}
