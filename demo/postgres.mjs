import pg from 'pg'
import { PostgresServer } from '../__test__/harness/postgres.js'

/**
 * The PostgreSQL that the demo's changes end up in: the one of `DATABASE_URL`, or a private one
 * that `stop()` ends. In someone else's database the demo makes the tables where there are none,
 * and `stop()` deletes the rows of its session.
 *
 * @param {string} sessionId
 */
export async function startPostgres(sessionId) {
  const given = process.env.DATABASE_URL
  if (!given) {
    // What else the environment says of a PostgreSQL is not about this one.
    for (const variable of Object.keys(process.env)) {
      if (/^(PG|DATABASE_)/.test(variable)) delete process.env[variable]
    }
    const server = await PostgresServer.start()
    return {
      url: server.url,
      description: `a private server on port ${server.port}, stopped at the end`,
      rowsOf: (table) => server.query(server.url, rowsOfSession(table), [sessionId]),
      stop: () => server.stop(),
    }
  }
  const timeouts = { connectionTimeoutMillis: 3000, query_timeout: 5000 }
  const pool = new pg.Pool({ connectionString: given, ssl: ssl(), max: 1, ...timeouts })
  pool.on('error', () => {}) // The next query says what is wrong.
  const query = async (sql, values) => (await pool.query(sql, values)).rows
  try {
    await query('SELECT 1')
  } catch (error) {
    await pool.end()
    throw new Error(`no PostgreSQL answers at DATABASE_URL (${error.message || error.code})`)
  }
  const deleteRows = async () => {
    for (const table of ['sync_events', 'sync_sessions']) {
      const [{ exists }] = await query('SELECT to_regclass($1) IS NOT NULL AS exists', [table])
      if (exists) await query(`DELETE FROM ${table} WHERE session_id = $1`, [sessionId])
    }
  }
  return {
    url: given,
    description: 'the one of DATABASE_URL; the rows are deleted at the end, the two tables stay',
    rowsOf: (table) => query(rowsOfSession(table), [sessionId]),
    stop: () => deleteRows().finally(() => pool.end()),
  }
}

const rowsOfSession = (table) => `SELECT * FROM ${table} WHERE session_id = $1`

/** As the queue reads it. */
function ssl() {
  return { true: true, 'no-verify': { rejectUnauthorized: false } }[process.env.DATABASE_SSL]
}
