// Does with examples/service what its readers do, with the package as it is published: installs it
// from the packed tarballs into a copy outside this repository, and there runs its unit tests without
// servers, compiles it, runs all its tests on real servers, builds it, starts it, and asks it to end.
// Then the same once more where all five files of the old state store are replaced.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { PostgresServer } from '../__test__/harness/postgres.js'
import { freePort, RedisServer } from '../__test__/harness/redis.js'
import { until } from '../__test__/harness/until.js'

const ROOT = path.join(path.dirname(fileURLToPath(import.meta.url)), '..')
const service = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-service-'))
const stops = [() => fs.rmSync(service, { recursive: true, force: true })]
/** Says where the servers are, once they run; whatever else it said of a PostgreSQL is left out. */
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(PG|DATABASE_)/.test(name)),
)

try {
  const tarballs = await step('pack', pack)
  await step('install', () => install(tarballs))
  await step('unit tests without servers', testUnits)
  await step('start the servers', startServers)
  await check('own types and clients')
  replaceAllFive()
  await check('all five files replaced')
} catch (error) {
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
} finally {
  for (const stop of stops.reverse()) await stop()
}

async function check(variant) {
  await step(`${variant}: compile`, () => run(service, 'npm', ['run', 'typecheck']))
  await step(`${variant}: test with Vitest`, () => run(service, 'npm', ['test']))
  await step(`${variant}: test with Jest`, () => run(service, 'npm', ['run', 'test:jest']))
  await step(`${variant}: build`, () => run(service, 'npm', ['run', 'build']))
  await step(`${variant}: start, answer, end`, startAndEnd)
}

function replaceAllFive() {
  const src = path.join(service, 'src')
  fs.cpSync(path.join(service, 'all-five', 'src'), src, { recursive: true })
}

async function step(what, action) {
  const started = performance.now()
  let outcome = 'FAILED'
  try {
    const result = await action()
    outcome = 'ok    '
    return result
  } finally {
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    process.stdout.write(`${outcome} ${what} (${seconds} s)\n`)
  }
}

/** The main package and that of this platform. */
async function pack() {
  const output = await run(ROOT, process.execPath, ['scripts/pack.mjs', 'target/packages'])
  const tarballs = output.match(/\S+\.tgz$/gm) ?? []
  if (tarballs.length !== 2) throw new Error(`two tarballs were expected:\n${output}`)
  return tarballs.map((tarball) => path.resolve(ROOT, tarball))
}

async function install(tarballs) {
  fs.cpSync(path.join(ROOT, 'examples', 'service'), service, {
    recursive: true,
    filter: (from) => !['node_modules', 'dist'].includes(path.basename(from)),
  })
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
  await run(service, 'npm', ['install', '--no-save', ...quiet, ...tarballs])
}

async function testUnits() {
  await run(service, 'npm', ['run', 'test:unit'])
  await run(service, 'npm', ['run', 'test:jest', '--', 'test/unit'])
}

async function startServers() {
  const redis = await RedisServer.start()
  stops.push(() => redis.stop())
  const postgres = await PostgresServer.start()
  stops.push(() => postgres.stop())
  env.REDIS_URL = redis.url
  env.DATABASE_URL = await postgres.createDatabase()
}

async function startAndEnd() {
  env.PORT = String(await freePort())
  const { child, output, ended } = start(service, process.execPath, ['dist/main.js'])
  stops.push(() => child.kill('SIGKILL'))
  const health = await until(() => {
    if (child.exitCode !== null) throw new Error(`it ended:\n${output()}`)
    return fetch(`http://127.0.0.1:${env.PORT}/ready`).catch(() => undefined)
  })
  if (!health.ok) throw new Error(`it answered with ${health.status}:\n${output()}`)
  child.kill('SIGTERM')
  const late = setTimeout(() => child.kill('SIGKILL'), 10_000)
  const [code, signal] = await ended
  clearTimeout(late)
  if (code !== 0) throw new Error(`it ended with ${signal ?? code}:\n${output()}`)
}

/** Resolves to what it printed; rejects, with that, where it fails. */
async function run(cwd, command, args) {
  const { output, ended } = start(cwd, command, args)
  const [code, signal] = await ended
  if (code === 0) return output()
  throw new Error(`\`${[command, ...args].join(' ')}\` ended with ${signal ?? code}:\n${output()}`)
}

function start(cwd, command, args) {
  const shell = process.platform === 'win32' && command === 'npm'
  const child = spawn(command, args, { cwd, env, shell, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => {
      output += data
    })
  }
  return { child, output: () => output, ended: once(child, 'close') }
}
