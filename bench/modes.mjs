// Where processes may run. Services run on one vCPU as often as on many cores, and latency on few
// cores depends on which process shares a core with which: both are measured.

import { execFileSync } from 'node:child_process'
import process from 'node:process'
import { familyOf } from '../__test__/harness/processes.js'

export const FREE = 'free'
export const PINNED = 'pinned'
export const MODES = [FREE, PINNED]

/**
 * @typedef {object} Mode
 * @property {string} name
 * @property {string} [contenders] CPUs of each contender, as `taskset -c` reads them; any if left out
 * @property {string} [servers] CPUs of Redis, PostgreSQL and what stands for the network
 */

/** The modes that this machine can run, and why the pinned one is left out where it is. */
export function availableModes() {
  const free = { name: FREE }
  const cpus = allowedCpus()
  if (cpus === undefined) return { modes: [free], noPinned: 'there is no taskset' }
  if (cpus.length < 2) return { modes: [free], noPinned: 'there is only one CPU' }
  // Neighbours in number are often two threads of one core; the first and the last are not.
  const pinned = { name: PINNED, contenders: String(cpus.at(-1)), servers: String(cpus[0]) }
  return { modes: [{ ...free, servers: cpus.join(',') }, pinned] }
}

/** Options of `fork` that start Node on these CPUs; threads and children inherit them. */
export function launchOn(cpus, execArgv = []) {
  if (cpus === undefined) return { execArgv }
  return { execPath: 'taskset', execArgv: ['-c', cpus, process.execPath, ...execArgv] }
}

/** A command and its arguments, on these CPUs. */
export const commandOn = (cpus, command, args) =>
  cpus === undefined ? [command, args] : ['taskset', ['-c', cpus, command, ...args]]

/** Moves all threads of a running process and of its children to these CPUs. */
export function moveTo(cpus, pid) {
  if (cpus === undefined) return
  for (const one of familyOf(pid)) {
    try {
      execFileSync('taskset', ['-a', '-c', '-p', cpus, String(one.pid)], { stdio: 'pipe' })
    } catch (error) {
      if (familyOf(pid).some((other) => other.pid === one.pid)) throw error
    }
  }
}

/** The numbers of the CPUs that this process may use; undefined where taskset cannot tell. */
function allowedCpus() {
  try {
    const told = execFileSync('taskset', ['-c', '-p', String(process.pid)], { encoding: 'utf8' })
    const list = told.trim().split(' ').at(-1)
    return list.split(',').flatMap((range) => {
      const [first, last = first] = range.split('-').map(Number)
      return Array.from({ length: last - first + 1 }, (_, at) => first + at)
    })
  } catch {
    return undefined
  }
}
