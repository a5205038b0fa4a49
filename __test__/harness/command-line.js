'use strict'

const { spawn } = require('node:child_process')
const path = require('node:path')

const PROGRAM = path.join(__dirname, '..', '..', 'bin', 'synckairos-state.js')

/**
 * The program, in a process of its own.
 *
 * @param {string[]} args
 * @param {Record<string, string>} [env] REDIS_URL, DATABASE_URL
 */
function start(args, env = {}) {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr']) {
    child[name].on('data', (data) => {
      output[name] += data
    })
  }
  // A program that hangs is a failed test.
  const timer = setTimeout(() => child.kill('SIGKILL'), 25_000)
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, ...output })
    })
  })
  return { child, output, ended }
}

/** Runs it to its end: its exit code and what it wrote. */
function run(args, env) {
  return start(args, env).ended
}

/** The same with `--json`: the document, and the exit code. */
async function runJson(args, env) {
  const { code, stdout, stderr } = await run([...args, '--json'], env)
  return { code, stderr, json: JSON.parse(stdout) }
}

module.exports = { PROGRAM, run, runJson, start }
