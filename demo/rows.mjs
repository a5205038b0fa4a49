import { dim, title } from './lines.mjs'
import { GAP, table } from './table.mjs'

/** How many rows of a long game are shown where it begins, and where it ends. */
const FIRST = 6
const LAST = 4

const NOTE = `  version and writer are read from state_snapshot, the whole state as it was then.
  participant_id and time_remaining_ms: whose turn it is, and his clock; nobody's after the mate.`

/** In the order of what happened; the deletion, which has no version, is the end. */
const EVENTS = `
  SELECT event_type,
         (state_snapshot ->> 'version')::int AS version,
         COALESCE(participant_id::text, metadata ->> 'participant_id') AS participant_id,
         time_remaining_ms,
         state_snapshot ->> 'writer' AS writer
    FROM sync_events
   WHERE session_id = $1
   ORDER BY version NULLS LAST`

const SESSION = `
  SELECT sync_mode, final_status, created_at, started_at, completed_at, total_participants,
         metadata ->> 'version' AS "version (in metadata)", last_updated_at
    FROM sync_sessions
   WHERE session_id = $1`

/**
 * Prints what PostgreSQL has of a session.
 *
 * @returns {Promise<(number | null)[]>} the version of each event
 */
export async function showRows(postgres, sessionId) {
  const events = await postgres.query(EVENTS, [sessionId])
  title('sync_events: a row for each change')
  console.log(eventsOf(events))
  console.log(dim(NOTE))

  const [session = {}] = await postgres.query(SESSION, [sessionId])
  title('sync_sessions: a row for each session, as it was last')
  console.log(table(['column', 'value'], Object.entries({ session_id: sessionId, ...session })))
  return events.map(({ version }) => version)
}

function eventsOf(events) {
  const rows = events.map((event, index) => {
    const { event_type, version, participant_id, time_remaining_ms, writer } = event
    return [index + 1, event_type, version, writer, participant_id, time_remaining_ms]
  })
  const hidden = rows.length - FIRST - LAST
  if (hidden > 1) rows.splice(FIRST, hidden, [GAP, `${hidden} more`, GAP, GAP, GAP, GAP])
  const head = ['#', 'event_type', 'version', 'writer', 'participant_id', 'time_remaining_ms']
  return table(head, rows)
}
