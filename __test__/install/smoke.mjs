// What run.mjs does, at its least, for a platform that it does not run on (Windows): what is packed
// is installed with npm into an empty project, and a session lives there, on the Redis of REDIS_URL.
// The binaries lie in npm/ already.

import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { pack } from '../../scripts/pack.mjs'
import { until } from '../harness/until.js'
import { checkNotices } from './notices.mjs'

const PROJECT = path.join(path.dirname(fileURLToPath(import.meta.url)), 'project')
/** How long a Redis that was only just installed may take to begin, ms. */
const START_MS = 60_000

const server = new URL(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379')
await until(answers, START_MS)
const tarballs = pack(path.join('target', 'packages'), { prebuilt: true })
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-smoke-'))
try {
  for (const name of ['exercise.cjs', 'commonjs.cjs', 'esm.mjs']) {
    fs.copyFileSync(path.join(PROJECT, name), path.join(directory, name))
  }
  fs.writeFileSync(path.join(directory, 'package.json'), '{ "private": true }')
  run('npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund', ...tarballs)
  const modules = path.join(directory, 'node_modules')
  const [platform] = fs.readdirSync(modules).filter((name) => name.startsWith('synckairos-state-'))
  checkNotices(path.join(modules, platform))
  process.stdout.write('ok     licenses and bill of materials\n')
  for (const file of ['commonjs.cjs', 'esm.mjs']) {
    run(process.execPath, file)
    process.stdout.write(`ok     ${file}\n`)
  }
} finally {
  fs.rmSync(directory, { recursive: true, force: true })
}

/** Whether somebody listens there. */
function answers() {
  return new Promise((resolve) => {
    const socket = net.connect(Number(server.port), server.hostname)
    const end = (outcome) => {
      socket.destroy()
      setTimeout(resolve, outcome ? 0 : 250, outcome)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}

function run(program, ...args) {
  const shell = process.platform === 'win32' && program === 'npm' // It is a batch file there.
  const env = { ...process.env, REDIS_URL: server.href }
  execFileSync(program, args, { cwd: directory, env, shell, stdio: 'inherit', timeout: 120_000 })
}
