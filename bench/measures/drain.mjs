import { execFile } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { promisify } from 'node:util'
import { deployedSchema } from '../../__test__/harness/postgres.js'
import { findPostgres } from '../../__test__/harness/postgres-binaries.js'

const QUEUE = 'bench-drain'
const TABLES = ['sync_sessions', 'sync_events']

/**
 * How fast records that wait in Redis get into PostgreSQL, from the moment that a worker is started;
 * and how fast PostgreSQL takes the same rows by `COPY`, one connection, one transaction.
 */
export class Drain {
  #postgres
  #directory
  #files

  /**
   * @param {import('../../__test__/harness/postgres.js').PostgresServer} postgres
   * @param {string} directory where the rows to copy are kept
   */
  constructor(postgres, directory) {
    this.#postgres = postgres
    this.#directory = directory
  }

  /** @param {import('../processes/ContenderProcess.mjs').ContenderProcess} contender of a design */
  async turn(contender, records) {
    const databaseUrl = await this.#postgres.createDatabase(deployedSchema)
    await contender.role('enqueue', QUEUE, records)
    const seconds = await contender.role('drain', QUEUE, databaseUrl)
    return this.#figures(databaseUrl, records, seconds)
  }

  /** Takes the rows that a design has made of so many records for those that are copied. */
  async keepRows(contender, records) {
    const databaseUrl = await this.#postgres.createDatabase(deployedSchema)
    await contender.role('enqueue', QUEUE, records)
    await contender.role('drain', QUEUE, databaseUrl)
    this.#files = TABLES.map((table) => [table, path.join(this.#directory, `${table}.copy`)])
    for (const [table, file] of this.#files) await psql(databaseUrl, `\\copy ${table} TO '${file}'`)
  }

  async copy(records) {
    const databaseUrl = await this.#postgres.createDatabase(deployedSchema)
    const start = performance.now()
    const copies = this.#files.map(([table, file]) => `\\copy ${table} FROM '${file}'`)
    await psql(databaseUrl, 'BEGIN', ...copies, 'COMMIT')
    return this.#figures(databaseUrl, records, (performance.now() - start) / 1000)
  }

  async #figures(databaseUrl, records, seconds) {
    const count = 'SELECT count(*)::int AS stored FROM sync_events'
    const [{ stored }] = await this.#postgres.query(databaseUrl, count)
    if (stored !== records) throw new Error(`${stored} of ${records} records reached PostgreSQL`)
    await this.#postgres.query(databaseUrl, `TRUNCATE ${TABLES}`)
    return { count: records, ops: records / seconds }
  }
}

/** In one session. */
async function psql(databaseUrl, ...commands) {
  const own = path.join(findPostgres(), 'psql')
  const args = ['-X', '-q', '-v', 'ON_ERROR_STOP=1', databaseUrl]
  for (const command of commands) args.push('-c', command)
  await promisify(execFile)(fs.existsSync(own) ? own : 'psql', args)
}
