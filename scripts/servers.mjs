// Runs the contract, the audit's and the near cache's tests on each server of Redis, Valkey and PostgreSQL
// that there is a package of, and prints what works where.
//
//   npm run test:servers [-- [--markdown] [server …]]
//   node scripts/servers.mjs --check   whether docs/runtimes.md has their tables; runs nothing

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { PLATFORM, POSTGRES, REDIS } from '../__test__/harness/server-packages.js'
import { jest, main } from './matrix/main.mjs'
import { fetchServers } from './setup/packages.mjs'
import { Steps } from './setup/Steps.mjs'

process.chdir(path.join(path.dirname(fileURLToPath(import.meta.url)), '..'))

const CONTRACT = fs
  .readdirSync('__test__/conformance')
  .filter((file) => file.endsWith('.test.js'))
  .map((file) => `conformance/${file}`)
const AUDIT = ['audit-rows', 'audit-order', 'audit-queue', 'audit-bytes', 'audit-partitions']
const AUDIT_TROUBLE = ['audit-faults', 'audit-outages', 'audit-workers', 'audit-worker-life']

const files = (names) => names.map((name) => `${name}.test.js`)

const ON_REDIS = [
  { name: 'one server: the contract', files: CONTRACT, engine: 'redis' },
  { name: 'one server: the near cache', files: files(['near-cache']) },
  { name: 'one server: the audit', files: files(AUDIT) },
  { name: 'one server: the audit in trouble', files: files(AUDIT_TROUBLE) },
  { name: 'Sentinel: the contract', files: CONTRACT, engine: 'sentinel' },
  { name: 'Sentinel: failovers', files: files(['sentinel-failover', 'sentinel-near-cache']) },
  { name: 'Cluster: the contract', files: CONTRACT, engine: 'cluster' },
  {
    name: 'Cluster: failovers, moved slots',
    files: files(['cluster-near-cache', 'cluster-audit', 'cluster-feed']),
  },
]
const ON_POSTGRES = [
  { name: 'the audit', files: files(AUDIT) },
  { name: 'the audit in trouble', files: files([...AUDIT_TROUBLE, 'database-trouble']) },
  { name: 'logins, URLs', files: files(['database-login', 'database-url']) },
]

const LIMITATIONS = [
  {
    columns: ['Redis 6.2'],
    rows: ON_REDIS.map(({ name }) => name).filter((name) => name.startsWith('Cluster')),
    why: 'a cluster needs sharded channels, which Redis has since 7.0',
  },
]

/** The server of the PATH, with which all other tests run: that of Debian 12. */
const OF_PATH = { name: 'Redis 7.0', version: '7.0.15' }

process.exitCode = await main({
  script: 'test:servers',
  page: 'docs/runtimes.md',
  matrices: [
    {
      marker: 'redis',
      columns: columns(REDIS, 'SYNCKAIROS_TEST_SERVER').toSpliced(1, 0, {
        ...OF_PATH,
        isThere: hasOfPath(),
        env: { SYNCKAIROS_TEST_SERVER: '' },
      }),
      rows: ON_REDIS,
      limitations: LIMITATIONS,
    },
    {
      marker: 'postgresql',
      columns: columns(POSTGRES, 'SYNCKAIROS_TEST_POSTGRES'),
      rows: ON_POSTGRES,
      limitations: [],
    },
  ],
  install: () => fetchServers(new Steps()),
  runOf: (row, { env }) => ({
    command: process.execPath,
    args: jest(row),
    env: { ...env, ...(row.engine && { SYNCKAIROS_TEST_ENGINES: row.engine }) },
  }),
})

/** Each has tests start another server. */
function columns(servers, variable) {
  return Object.entries(servers).map(([name, { title, version, hashes }]) => ({
    name: title,
    version,
    isThere: PLATFORM in hashes,
    env: { [variable]: name },
  }))
}

function hasOfPath() {
  const { stdout } = spawnSync('redis-server', ['--version'], { encoding: 'utf8' })
  return stdout?.includes(`v=${OF_PATH.version} `) === true
}
