import fs from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from '@photostructure/sqlite'

/**
 * How fast records that wait in a queue get into a file of SQLite, from the moment that a worker is
 * started.
 *
 * @param {import('../processes/ContenderProcess.mjs').ContenderProcess} contender
 * @param {number} records
 * @param {string} parent where the file is made, in a directory of its own, and removed
 */
export async function sqliteDrain(contender, records, parent) {
  const directory = fs.mkdtempSync(path.join(parent, 'sqlite-'))
  const file = path.join(directory, 'audit.db')
  const queue = `bench-${path.basename(directory)}`
  try {
    await contender.role('migrate', `sqlite:${file}`)
    await contender.role('enqueue', queue, records)
    const seconds = await contender.role('drain', queue, `sqlite:${file}`)
    const stored = countEvents(file)
    if (stored !== records) throw new Error(`${stored} of ${records} records reached SQLite`)
    return { count: records, ops: records / seconds }
  } finally {
    fs.rmSync(directory, { recursive: true })
  }
}

/** The contender has closed the file. */
function countEvents(file) {
  const database = new DatabaseSync(file, { readOnly: true })
  try {
    return database.prepare('SELECT count(*) AS stored FROM sync_events').get().stored
  } finally {
    database.close()
  }
}
