'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { postgresDirectory } = require('./server-packages.js')

/** Where packages put the servers of several versions side by side, and none on the PATH. */
const VERSIONED = [
  ['/usr/lib/postgresql', /^(\d+)$/],
  ['/opt/homebrew/opt', /^postgresql@(\d+)$/],
  ['/usr/local/opt', /^postgresql@(\d+)$/],
  ['/home/linuxbrew/.linuxbrew/opt', /^postgresql@(\d+)$/],
]

/**
 * The directory with PostgreSQL's server: the one that `SYNCKAIROS_TEST_POSTGRES` names, such as
 * `postgres-18`; by default on the PATH, else the newest of those beside it. Loads no package, so that
 * `scripts/setup.mjs` can ask before there are any.
 *
 * @returns {string | undefined}
 */
function findPostgres() {
  const name = process.env.SYNCKAIROS_TEST_POSTGRES
  if (name) return [postgresDirectory(name)].find(hasServer)
  const onPath = (process.env.PATH ?? '').split(path.delimiter)
  return [...onPath, ...VERSIONED.flatMap(newestFirst)].find(hasServer)
}

function newestFirst([parent, pattern]) {
  const names = fs.existsSync(parent) ? fs.readdirSync(parent) : []
  const major = (name) => Number(pattern.exec(name)?.[1])
  const versions = names.filter((name) => pattern.test(name))
  return versions
    .sort((a, b) => major(b) - major(a))
    .map((version) => path.join(parent, version, 'bin'))
}

function hasServer(directory) {
  return ['initdb', 'postgres'].every((name) => fs.existsSync(path.join(directory, name)))
}

/**
 * PgBouncer: on the PATH, else where Debian keeps servers, which only root's PATH leads to.
 *
 * @returns {string | undefined}
 */
function findPgBouncer() {
  const directories = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin']
  return directories.map((directory) => path.join(directory, 'pgbouncer')).find(fs.existsSync)
}

module.exports = { findPgBouncer, findPostgres }
