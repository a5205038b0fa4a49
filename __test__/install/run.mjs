// Installs what is packed, as a service would: into an empty project, with npm and with pnpm, where
// the search path has Node.js and nothing else; and uses it there against a real Redis. A line a
// check; what failed is printed, and the exit code tells. `--prebuilt`: as for scripts/pack.mjs.

import { execFile, execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { pack } from '../../scripts/pack.mjs'
import { RedisServer } from '../harness/redis.js'
import { checkNotices } from './notices.mjs'
import { startRegistry } from './registry.mjs'

const TEMPLATES = path.dirname(fileURLToPath(import.meta.url))
/** Outside of the repository, whose node_modules would be found from within. */
const WORK = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-install-'))
const BIN = path.join(WORK, 'bin')
/** What `require` is to take, where Node itself takes so long to start: more on a slower machine. */
const REQUIRE_MS = 20
const START_MS = 77
/** How much longer it may take than is said: as one measurement, and one machine, differs from another. */
const TOLERANCE = 2
/** What must be passed on for a registry to be reached. */
const NETWORK = /^(NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|(https?|no)_proxy)$/i
const SHIM = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)`

let passed = 0
let failed = 0

fs.mkdirSync(BIN)
const prebuilt = process.argv.includes('--prebuilt')
const tarballs = pack(path.join('target', 'packages'), { prebuilt })
const upstream = output('npm', ['config', 'get', 'registry'])
const registry = await startRegistry(tarballs, upstream)
const redis = await RedisServer.start()
const env = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => NETWORK.test(name))),
  PATH: BIN,
  HOME: path.join(WORK, 'home'),
  REDIS_URL: redis.url,
}
try {
  link('node', process.execPath)
  link('npm', output('sh', ['-c', 'command -v npm']))
  await checkPackages()
  await checkInstalled('npm', ['npm', 'install', '--ignore-scripts', '--no-audit'])
  await checkInstalled('pnpm', ['pnpm', 'add', '--ignore-scripts'])
} finally {
  await redis.stop()
  registry.stop()
  fs.rmSync(WORK, { recursive: true, force: true })
}
process.stdout.write(`${passed} passed, ${failed} failed\n`)
process.exit(failed > 0 ? 1 : 0)

async function checkPackages() {
  const run = inProject('tools', 'tools')
  await check('the tools are installed', () =>
    run('npm', 'install', '--ignore-scripts', '--no-audit'),
  )
  link('pnpm', path.join(WORK, 'tools', 'node_modules', '.bin', 'pnpm'))
  await check('no compiler is found', async () => {
    const names = 'cc gcc clang cargo rustc zig'
    const found = await run(
      '/bin/sh',
      '-c',
      `for name in ${names}; do command -v $name; done; true`,
    )
    if (found !== '') throw new Error(found)
  })
  const attw = 'node_modules/@arethetypeswrong/cli/dist/index.js'
  await check('attw: types for every way of resolving modules', () =>
    run('node', attw, tarballs[0]),
  )
  const publint = 'node_modules/publint/src/cli.js'
  await check('publint', () => run('node', publint, 'run', tarballs[0], '--strict'))
}

/** @param {string} manager @param {string[]} install */
async function checkInstalled(manager, install) {
  const directory = path.join(WORK, manager)
  const run = inProject('project', manager)
  const node = (...args) => run('node', ...args)
  const works = (what, ...args) => check(`${manager}: ${what}`, () => node(...args))
  const bundles = (what, name, ...options) =>
    check(`${manager}: ${what}`, async () => {
      const args = [
        'service.ts',
        '--bundle',
        '--platform=node',
        `--outfile=dist/${name}`,
        ...options,
      ]
      await node('node_modules/esbuild/bin/esbuild', '--log-level=warning', ...args)
      await node(`dist/${name}`)
    })

  if (!(await check(`${manager}: is installed`, () => run(...install, 'synckairos-state')))) return
  await check(`${manager}: one platform's package, and no scripts`, () =>
    onlyWhatIsNeeded(directory),
  )
  const [platform] = packagesIn(directory).filter((name) => name !== 'synckairos-state')
  await check(`${manager}: licenses and bill of materials name what the binary contains`, () =>
    node(
      path.join(WORK, 'tools', 'validate-bom.mjs'),
      checkNotices(path.join(directory, 'node_modules', platform)),
    ),
  )
  await works('CommonJS', 'commonjs.cjs')
  await works('ES modules', 'esm.mjs')
  await works('two worker threads', 'workers.cjs')
  for (const resolution of ['node16', 'nodenext', 'bundler']) {
    const module = resolution === 'bundler' ? 'preserve' : resolution
    const options = ['--module', module, '--moduleResolution', resolution]
    await works(`TypeScript, ${resolution}`, 'node_modules/typescript/bin/tsc', ...options)
  }
  await works('Jest', 'node_modules/jest/bin/jest.js', 'in-jest')
  await works('Vitest', 'node_modules/vitest/vitest.mjs', 'run', 'in-vitest')
  await bundles('esbuild, packages external', 'external.cjs', '--packages=external')
  const addon = '--external:synckairos-state-*'
  await bundles('esbuild, the addon external', 'addon.cjs', addon)
  await bundles(
    'esbuild to an ES module',
    'addon.mjs',
    addon,
    '--format=esm',
    `--banner:js=${SHIM}`,
  )
  await check(`${manager}: require() in ${REQUIRE_MS} ms`, () => isQuick(node))
}

/** The main package and the one of this platform, neither of which runs anything to be installed. */
function onlyWhatIsNeeded(directory) {
  const names = packagesIn(directory)
  if (names.length !== 2) throw new Error(`installed: ${names.join(', ')}`)
  for (const name of names) {
    const { scripts } = readJson(path.join(directory, 'node_modules', name, 'package.json'))
    if (scripts) throw new Error(`${name} has scripts: ${Object.keys(scripts).join(', ')}`)
  }
}

/** The packages of this repository that are installed. */
function packagesIn(directory) {
  const names = fs.readdirSync(path.join(directory, 'node_modules'))
  return names.filter((name) => name.startsWith('synckairos-state'))
}

/** The best of many processes: what else a machine does only adds to it. */
async function isQuick(node) {
  const times = []
  while (times.length < 25) times.push((await node('require-time.cjs')).split(' ').map(Number))
  const [start, took] = [0, 1].map((at) => Math.min(...times.map((pair) => pair[at])))
  const said = `${took.toFixed(1)} ms at best; Node itself ${start.toFixed(1)} ms`
  const most = TOLERANCE * REQUIRE_MS * Math.max(1, start / START_MS)
  if (took >= most) throw new Error(said)
  return said
}

/** Runs one, and tells how it went, with what it has to say. */
async function check(what, body) {
  const started = performance.now()
  let fault
  let remark
  try {
    remark = await body()
    passed++
  } catch (error) {
    failed++
    fault = [error.message, error.stdout].filter(Boolean).join('\n')
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  const short = /^[^\n]{1,20}$/.test(remark ?? '') ? `: ${remark}` : ''
  process.stdout.write(`${fault ? 'FAILED' : 'ok    '} ${what}${short} (${seconds} s)\n`)
  if (fault) process.stdout.write(`${fault.replace(/^/gm, '       ')}\n`)
  return fault === undefined
}

/** A copy of the template; what runs a program there and gives what it wrote. */
function inProject(template, name) {
  const cwd = path.join(WORK, name)
  fs.cpSync(path.join(TEMPLATES, template), cwd, { recursive: true })
  fs.writeFileSync(path.join(cwd, '.npmrc'), `registry=${registry.url}\n`)
  return async (program, ...args) => {
    const { stdout } = await promisify(execFile)(program, args, { cwd, env, timeout: 120_000 })
    return stdout.trim()
  }
}

function readJson(file) {
  return JSON.parse(fs.readFileSync(file, 'utf8'))
}

function link(name, target) {
  fs.symlinkSync(fs.realpathSync(target), path.join(BIN, name))
}

function output(program, args) {
  return execFileSync(program, args, { encoding: 'utf8' }).trim()
}
