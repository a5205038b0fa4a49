// What records that wait cost the process that made them. Run by itself, it is that process:
// nothing else has been in its memory.

import { execFile } from 'node:child_process'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { DBWriteQueue } from '../index.js'
import { makeSession } from './document.mjs'
import { enqueue } from './waiting-records.mjs'

const FILE = fileURLToPath(import.meta.url)
const RECORDS = 100_000
/** Until its buffers have the size that they need. */
const WARM_UP_RECORDS = 20_000
const GOAL_BYTES = 16 * 1024 * 1024

/** RSS before and after 100 000 records were queued and none was written. */
export async function measureMemory(redisUrl) {
  const args = ['--expose-gc', FILE, redisUrl]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  const { before, after } = JSON.parse(stdout)
  return { records: RECORDS, before, after, goal: GOAL_BYTES, met: after - before <= GOAL_BYTES }
}

async function main(redisUrl) {
  const sessions = Array.from({ length: 1000 }, makeSession)
  const queue = new DBWriteQueue(redisUrl, { worker: false })
  await enqueue(queue, WARM_UP_RECORDS, sessions)
  const before = rss()
  await enqueue(queue, RECORDS, sessions)
  const after = rss()
  const { waiting } = await queue.getMetrics()
  if (waiting !== WARM_UP_RECORDS + RECORDS) throw new Error(`only ${waiting} records wait`)
  await queue.close()
  console.log(JSON.stringify({ before, after }))
}

function rss() {
  globalThis.gc()
  return process.memoryUsage.rss()
}

if (process.argv[1] === FILE) await main(process.argv[2])
