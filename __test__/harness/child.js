'use strict'

const { spawn } = require('node:child_process')
const path = require('node:path')

/**
 * Runs a script in a Node process of its own: source text, with `require` relative to the
 * project's root. Its environment has `REDIS_URL` from `env` and nothing surprising.
 *
 * @param {string} source
 * @param {{ env?: Record<string, string>, timeoutMs?: number }} [options]
 * @returns {Promise<{ code: number | null, signal: string | null, stdout: string, stderr: string, ms: number }>}
 */
function runScript(source, { env = {}, timeoutMs = 20_000 } = {}) {
  const { ended } = startScript(source, { env, timeoutMs })
  return ended
}

/** The same, while it runs: `child` to talk to (with an IPC channel), `ended` to wait for. */
function startScript(source, { env = {}, timeoutMs = 20_000, ipc = false } = {}) {
  const started = performance.now()
  const child = spawn(process.execPath, ['--input-type=commonjs', '-e', source], {
    cwd: path.join(__dirname, '..', '..'),
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? ['ipc'] : [])],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (data) => {
    stdout += data
  })
  child.stderr.on('data', (data) => {
    stderr += data
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, stdout, stderr, ms: performance.now() - started })
    })
  })
  return { child, ended }
}

module.exports = { runScript, startScript }
