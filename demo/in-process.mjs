// The demo's place without a server: instances are worker threads, which share a store in the memory
// of this process, and SQLite keeps the record of each change, in a temporary directory.

import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { DatabaseSync } from '@photostructure/sqlite'

export const words = {
  instances: 'worker threads',
  store: 'the memory of one process',
  database: 'SQLite',
}

/** @param {string} name @param {string} sessionId */
export async function open(name, sessionId) {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'synckairos-demo-'))
  const file = path.join(directory, 'audit.db')
  return {
    description: [`Sessions: memory://${name}.`, `SQLite: ${file}, deleted at the end.`],
    urls: { redis: `memory://${name}`, database: `sqlite:${file}` },
    options: {},
    rowsOf: (table) => rowsOf(file, table, sessionId),
    close: () => fs.rm(directory, { recursive: true, force: true }),
  }
}

/**
 * The rows of a session. By now the module has closed the file: two SQLite libraries in one process undo
 * each other's locks.
 */
function rowsOf(file, table, sessionId) {
  const database = new DatabaseSync(file, { readOnly: true })
  try {
    return database.prepare(`SELECT * FROM ${table} WHERE session_id = ?`).all(sessionId)
  } finally {
    database.close()
  }
}

/** @param {object} setting what the instance is told */
export function start(setting) {
  const worker = new Worker(new URL('instance.mjs', import.meta.url), { workerData: setting })
  const ended = new Promise((resolve, reject) => {
    worker.once('error', reject)
    worker.once('exit', resolve)
  })
  return {
    ended,
    tell: (act) => worker.postMessage(act),
    onMessage: (listener) => worker.on('message', listener),
    stop: () => worker.terminate(),
  }
}
