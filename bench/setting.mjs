import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { makeSession } from './workload/session.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const PEERS = ['ioredis', 'bullmq', 'redis6', '@valkey/valkey-glide', 'pg']

/** Where and with what a run was made. */
export async function describe({ client, postgres }) {
  const info = await client.info('server')
  const [{ server_version }] = await postgres.query(postgres.url, 'SHOW server_version')
  return {
    date: new Date().toISOString(),
    commit: commit(),
    node: process.version,
    redis: /redis_version:(\S+)/.exec(info)[1],
    postgres: server_version.split(' ')[0],
    peers: Object.fromEntries(PEERS.map((name) => [name, versionOf(name)])),
    cpus: os.availableParallelism(),
    cpuModel: os.cpus()[0]?.model ?? 'unknown',
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch} ${os.release()}`,
    documentBytes: Object.fromEntries(
      [2, 100].map((participants) => [
        participants,
        JSON.stringify(makeSession(participants)).length,
      ]),
    ),
  }
}

/** With `+`, where files are changed or new beside it. */
function commit() {
  const git = (...args) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim()
  try {
    const changed = git(
      'status',
      '--porcelain',
      '--',
      '.',
      ':!bench/results',
      ':!docs/performance.md',
    )
    return git('rev-parse', '--short=12', 'HEAD') + (changed === '' ? '' : '+')
  } catch {
    return 'unknown'
  }
}

function versionOf(name) {
  const file = path.join(ROOT, 'node_modules', name, 'package.json')
  return JSON.parse(fs.readFileSync(file, 'utf8')).version
}
