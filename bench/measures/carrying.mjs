import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import pg from 'pg'
import { quantilesOf } from './statistics.mjs'

const STORED = 'stored'
/** The longest pause before a record, milliseconds: longer than a worker waits between two looks. */
const PAUSE_MS = 300

/**
 * How long records take that come one by one, from the end of the call that made each to PostgreSQL's word
 * that it is committed, microseconds.
 *
 * @param {() => Promise<unknown>} write makes one record
 * @param {string} databaseUrl
 * @param {number} count
 */
export async function recordLatency(write, databaseUrl, count) {
  const database = new pg.Client(databaseUrl)
  await database.connect()
  await database.query(`
    CREATE FUNCTION tell_stored() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_notify('${STORED}', ''); RETURN NULL; END $$;
    CREATE TRIGGER tell_stored AFTER INSERT ON sync_events
      FOR EACH ROW EXECUTE FUNCTION tell_stored();
    LISTEN ${STORED}`)
  const micros = []
  try {
    for (let made = 0; made < count; made++) {
      await setTimeout(randomInt(PAUSE_MS))
      const stored = once(database, 'notification').then(() => performance.now())
      await write()
      const written = performance.now()
      micros.push(Math.max(0, (await stored) - written) * 1000)
    }
  } finally {
    await database.query('DROP TRIGGER tell_stored ON sync_events; DROP FUNCTION tell_stored')
    await database.end()
  }
  return { count, ...quantilesOf(micros), longest: Math.max(...micros) }
}
