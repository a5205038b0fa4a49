// Makes a clone ready: checks Node.js and Rust, installs packages and servers, builds the native module.
// A second run does nothing and is quick. `npm test`, `npm run bench` and others begin with `node scripts/setup.mjs`;
// `--for-quick-tests` leaves out the servers and the optimizer.

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { build, isBuilt } from './build.mjs'
import { fetchServers } from './setup/packages.mjs'
import { Steps } from './setup/Steps.mjs'
import { install, pgbouncer, pip, postgres, redis } from './setup/servers.mjs'

const ROOT = path.join(path.dirname(fileURLToPath(import.meta.url)), '..')

const EVERYTHING = {
  packages: '.',
  profile: 'release',
  servers: [redis, postgres, pgbouncer, pip],
  ofAllVersions: true,
}
const FOR_QUICK_TESTS = { packages: '.', profile: 'unoptimized', servers: [] }

/** The demo without servers: `demo/package.json` has the one package that it needs, to read SQLite. */
export const FOR_DEMO = { packages: 'demo', profile: 'unoptimized', servers: [] }

/**
 * The demo on servers: those that it has to start itself.
 *
 * @param {NodeJS.ProcessEnv} env
 */
export function forDemoOnServers({ REDIS_URL, DATABASE_URL }) {
  const servers = [...(REDIS_URL ? [] : [redis]), ...(DATABASE_URL ? [] : [postgres])]
  return { packages: '.', profile: 'unoptimized', servers }
}

/**
 * Ends the process if something is missing that it cannot install.
 *
 * @param {Omit<typeof EVERYTHING, 'ofAllVersions'> & { ofAllVersions?: boolean }} needs `ofAllVersions`:
 *   besides the servers, those of each version that there is a package of
 */
export async function setUp({ packages, profile, servers, ofAllVersions = false }) {
  process.chdir(ROOT)
  const steps = new Steps()
  try {
    checkNode()
    checkRust()
    // The optimized build runs napi, which is one of the packages.
    const installed = installPackages(packages, steps)
    if (profile !== 'unoptimized') await installed
    await Promise.all([installed, buildModule(profile, steps)])
    for (const server of servers) install(server, (text) => steps.say(text))
    if (ofAllVersions) await fetchServers(steps)
  } catch (error) {
    steps.say(error.message)
    process.exit(1)
  }
}

function checkNode() {
  const [major = 0] = process.versions.node.split('.').map(Number)
  if (major < 20) throw new Error(`Node.js 20 or later is needed; this is ${process.version}`)
}

function checkRust() {
  const wanted = /rust-version = "(\d+)\.(\d+)"/.exec(fs.readFileSync('Cargo.toml', 'utf8'))
  const { stdout } = spawnSync('rustc', ['--version'], { encoding: 'utf8' })
  const found = /(\d+)\.(\d+)/.exec(stdout ?? '')
  if (!found) throw new Error('Rust is needed: https://rustup.rs')
  const version = ([, major, minor]) => Number(major) * 1000 + Number(minor)
  if (wanted && version(found) < version(wanted)) {
    throw new Error(`Rust ${wanted[1]}.${wanted[2]} or later is needed: run \`rustup update\``)
  }
}

/** `npm ci` in a directory, unless what is installed is what its lockfile says. */
async function installPackages(directory, steps) {
  if (isInstalled('.') || isInstalled(directory)) return
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
  await steps.run(`npm packages of ${directory}`, (step) =>
    step.run('npm', ['ci', '--prefix', directory, ...quiet]),
  )
}

function isInstalled(directory) {
  const packages = path.join(directory, 'node_modules')
  // A link leads to the packages of another checkout: `npm ci` would delete them there.
  if (fs.lstatSync(packages, { throwIfNoEntry: false })?.isSymbolicLink()) return true
  const installed = path.join(packages, '.package-lock.json')
  const lockfile = path.join(directory, 'package-lock.json')
  return fs.existsSync(installed) && modified(installed) >= modified(lockfile)
}

async function buildModule(profile, steps) {
  if (isBuilt(profile)) return
  await steps.run(`native module, ${profile}`, (step) => build(profile, step))
}

function modified(file) {
  return fs.statSync(file).mtimeMs
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await setUp(process.argv.includes('--for-quick-tests') ? FOR_QUICK_TESTS : EVERYTHING)
}
