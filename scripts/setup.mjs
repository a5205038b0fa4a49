// Makes a fresh clone ready: checks what must be there, installs and builds what can be. Run again
// it does nothing and is quick. `npm run demo`, `npm test` and `npm run bench` begin with it.

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { findPgBouncer, findPostgres } from '../__test__/harness/postgres-binaries.js'
import { build, isBuilt } from './build.mjs'

/** Debian's package would make a cluster, and start it now and with the machine: nobody asked for one. */
const WITHOUT_CLUSTER = `{
  directory=/etc/postgresql-common/createcluster.d
  mkdir -p $directory && echo 'create_main_cluster = false' > $directory/synckairos.conf
  apt-get -q install -y postgresql
  status=$?
  rm -f $directory/synckairos.conf
  exit $status
}`

process.chdir(path.join(path.dirname(fileURLToPath(import.meta.url)), '..'))

checkNode()
checkRust()
installPackages()
if (!isBuilt()) {
  say('building the native module (release; one to three minutes the first time)')
  build()
}
// The demo uses the servers of REDIS_URL and DATABASE_URL where those are set.
const forDemo = process.argv.includes('--for-demo')
if (!(forDemo && process.env.REDIS_URL)) installRedis()
if (!(forDemo && process.env.DATABASE_URL)) installPostgres()
if (!forDemo) installPgBouncer()

function checkNode() {
  const [major = 0] = process.versions.node.split('.').map(Number)
  if (major < 20) stop(`Node.js 20 or later is needed; this is ${process.version}`)
}

function checkRust() {
  const wanted = /rust-version = "(\d+)\.(\d+)"/.exec(fs.readFileSync('Cargo.toml', 'utf8'))
  const found = /(\d+)\.(\d+)/.exec(output('rustc', ['--version']) ?? '')
  if (!found) stop('Rust is needed: https://rustup.rs')
  if (wanted && version(found) < version(wanted)) {
    stop(`Rust ${wanted[1]}.${wanted[2]} or later is needed: run \`rustup update\``)
  }
}

/** `npm ci`, unless what is installed is what the lockfile says. */
function installPackages() {
  const installed = 'node_modules/.package-lock.json'
  if (fs.existsSync(installed) && modified(installed) >= modified('package-lock.json')) return
  say('installing the npm packages')
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'])
}

function installRedis() {
  install('redis-server', hasRedis, 'apt-get -q install -y redis-server', 'redis')
  if (!hasRedis()) stop('redis-server 6.2 or later is needed: install it and put it on the PATH')
}

function installPostgres() {
  install('postgresql, without a running server,', hasPostgres, WITHOUT_CLUSTER, 'postgresql@17')
  if (!hasPostgres()) {
    stop('PostgreSQL 13 or later is needed: install its server and put initdb on the PATH')
  }
}

/** For the tests of the audit behind a pooler. */
function installPgBouncer() {
  const withApt = 'apt-get -q install -y --no-install-recommends pgbouncer'
  install('pgbouncer', findPgBouncer, withApt, 'pgbouncer')
  if (!findPgBouncer()) stop('PgBouncer is needed: install it and put it on the PATH')
}

/** Installs what is not there, if this system has a known way. */
function install(name, isThere, withApt, formula) {
  if (isThere()) return
  if (hasApt()) {
    say(`installing ${name} with apt-get`)
    asRoot(`apt-get -q update && ${withApt}`)
  } else if (hasBrew()) {
    say(`installing ${formula} with brew`)
    run('brew', ['install', formula])
  }
}

function hasRedis() {
  const found = /v=(\d+)\.(\d+)/.exec(output('redis-server', ['--version']) ?? '')
  return found !== null && version(found) >= 6002
}

function hasPostgres() {
  const directory = findPostgres()
  const text = directory && output(path.join(directory, 'postgres'), ['--version'])
  return Number(/ (\d+)/.exec(text ?? '')?.[1]) >= 13
}

/** Of a match's first two groups. */
function version([, major, minor]) {
  return Number(major) * 1000 + Number(minor)
}

function modified(file) {
  return fs.statSync(file).mtimeMs
}

function hasApt() {
  return output('apt-get', ['--version']) !== undefined
}

function hasBrew() {
  return output('brew', ['--version']) !== undefined
}

/** In a shell. */
function asRoot(script) {
  const sudo = process.getuid?.() === 0 ? [] : ['sudo']
  const [name, ...args] = [...sudo, 'env', 'DEBIAN_FRONTEND=noninteractive', 'sh', '-c', script]
  run(name, args)
}

function output(name, args) {
  const { status, stdout } = spawnSync(name, args, { encoding: 'utf8', shell: onWindows(name) })
  return status === 0 ? stdout : undefined
}

function run(name, args) {
  // The installers' own chatter goes to stderr: stdout is the demo's and the tests'.
  const options = { stdio: ['ignore', 2, 2], shell: onWindows(name) }
  const { status } = spawnSync(name, args, options)
  if (status !== 0) stop(`\`${[name, ...args].join(' ')}\` failed`)
}

/** npm is a batch file there. */
function onWindows(name) {
  return process.platform === 'win32' && name === 'npm'
}

function say(text) {
  process.stderr.write(`setup: ${text}\n`)
}

function stop(text) {
  say(text)
  process.exit(1)
}
