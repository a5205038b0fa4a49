'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { CallableProcess } = require('./callable-process.js')

/** Each call opens and closes the file, but for the lock. */
const SCRIPT = `
  const { DatabaseSync } = require('@photostructure/sqlite')
  const { FILE: file } = process.env
  const using = (options, use) => {
    const database = new DatabaseSync(file, { timeout: 5000, ...options })
    try {
      return use(database)
    } finally {
      database.close()
    }
  }
  let locked
  calls.rows = (sql) => using({ readOnly: true }, (database) => database.prepare(sql).all())
  calls.run = (sql) => using({}, (database) => database.exec(sql))
  calls.lock = () => {
    locked = new DatabaseSync(file)
    locked.exec('BEGIN EXCLUSIVE')
  }
  calls.unlock = () => {
    locked.exec('ROLLBACK')
    locked.close()
  }
`

/**
 * A file of SQLite in a directory of its own, and a process that reads it. Two copies of SQLite in one
 * process would take each other's locks away, so a test never opens a file itself.
 */
class SqliteFile {
  #process

  constructor() {
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'synckairos-sqlite-'))
    this.path = path.join(this.directory, 'audit.db')
    this.url = `sqlite:${this.path}`
  }

  /** The rows of a query. */
  rows(sql) {
    return this.#call('rows', sql)
  }

  run(sql) {
    return this.#call('run', sql)
  }

  /** Keeps all others from writing until `unlock()`. */
  lock() {
    return this.#call('lock')
  }

  unlock() {
    return this.#call('unlock')
  }

  /** How many events there are, and how many of them differ. */
  async events() {
    const [counts] = await this.rows(
      'SELECT count(*) AS stored, count(DISTINCT id) AS ids FROM sync_events',
    )
    return counts
  }

  async close() {
    await this.#process?.close()
    fs.rmSync(this.directory, { recursive: true, force: true })
  }

  #call(name, ...args) {
    this.#process ??= new CallableProcess(SCRIPT, { FILE: this.path })
    return this.#process.call(name, ...args)
  }
}

module.exports = { SqliteFile }
