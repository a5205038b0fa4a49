'use strict'

const { execFileSync } = require('node:child_process')
const fs = require('node:fs')

/**
 * A process and its children.
 *
 * @param {number} pid
 * @returns {{ pid: number, parent: number, stopped: boolean }[]}
 */
function familyOf(pid) {
  // A slim container has no ps.
  const all = fs.existsSync('/proc/self/stat') ? fromProc() : fromPs()
  // A dead one that its parent has not looked after yet is none.
  return all
    .filter((one) => (one.pid === pid || one.parent === pid) && !one.state.startsWith('Z'))
    .map(({ state, ...one }) => ({ ...one, stopped: state.startsWith('T') }))
}

function fromProc() {
  const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.flatMap((pid) => {
    try {
      // 42 (name, which may hold anything) S 1 …
      const [state, parent] = fs
        .readFileSync(`/proc/${pid}/stat`, 'utf8')
        .split(') ')
        .at(-1)
        .split(' ')
      return [{ pid: Number(pid), parent: Number(parent), state }]
    } catch {
      return [] // It has ended meanwhile.
    }
  })
}

function fromPs() {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat='], { encoding: 'utf8' })
  return lines
    .trim()
    .split('\n')
    .map((line) => {
      const [pid, parent, state] = line.trim().split(/\s+/)
      return { pid: Number(pid), parent: Number(parent), state }
    })
}

/** Sends it unless the process has ended meanwhile. */
function signal(pid, name) {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}

module.exports = { familyOf, signal }
