import { dim, title } from './lines.mjs'
import { GAP, table } from './table.mjs'

/** How many rows of a long game are shown where it begins, and where it ends. */
const FIRST = 6
const LAST = 4

const NOTE = `  version and writer are read from state_snapshot, the whole state as it was then.
  participant_id and time_remaining_ms: whose turn it is, and his clock; nobody's after the mate.`

const COLUMNS = [
  'session_id',
  'sync_mode',
  'final_status',
  'created_at',
  'started_at',
  'completed_at',
  'total_participants',
]

/**
 * Prints what the database has of a session.
 *
 * @param {(table: string) => object[] | Promise<object[]>} rowsOf reads a table's rows of it
 * @returns {Promise<(number | null)[]>} the version of each event
 */
export async function showRows(rowsOf) {
  const events = inOrder((await rowsOf('sync_events')).map(eventOf))
  title('sync_events: a row for each change')
  console.log(eventsOf(events))
  console.log(dim(NOTE))

  const [session = {}] = await rowsOf('sync_sessions')
  const cells = COLUMNS.map((column) => [column, session[column]])
  cells.push(['version (in metadata)', json(session.metadata)?.version])
  cells.push(['last_updated_at', session.last_updated_at])
  title('sync_sessions: a row for each session, as it was last')
  console.log(table(['column', 'value'], cells))
  return events.map(({ version }) => version)
}

/** The columns that are shown, and what is shown of the state. */
function eventOf({ event_type, time_remaining_ms, participant_id, ...row }) {
  const { version = null, writer } = json(row.state_snapshot) ?? {}
  const participant = participant_id ?? json(row.metadata)?.participant_id
  return { event_type, version, writer, participant_id: participant, time_remaining_ms }
}

/** In the order of what happened; the deletion, which has no version, is the end. */
function inOrder(events) {
  return events.sort((a, b) => (a.version ?? Infinity) - (b.version ?? Infinity))
}

/** PostgreSQL gives what JSON says, SQLite its text. */
const json = (value) => (typeof value === 'string' ? JSON.parse(value) : value)

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
