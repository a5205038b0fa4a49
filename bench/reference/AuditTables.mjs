import pg from 'pg'

const UPSERT_SESSION = `
  INSERT INTO sync_sessions (session_id, sync_mode, time_per_cycle_ms, increment_ms, max_time_ms, created_at,
    started_at, completed_at, final_status, total_participants, last_updated_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
  ON CONFLICT (session_id) DO UPDATE SET
    started_at = COALESCE(EXCLUDED.started_at, sync_sessions.started_at),
    completed_at = EXCLUDED.completed_at,
    final_status = EXCLUDED.final_status,
    total_participants = EXCLUDED.total_participants,
    last_updated_at = EXCLUDED.last_updated_at`

const INSERT_EVENT = `
  INSERT INTO sync_events (session_id, event_type, participant_id, time_remaining_ms, timestamp, state_snapshot)
  VALUES ($1, $2, $3, $4, $5, $6)`

/** The tables that one job writes, in one transaction. */
export class AuditTables {
  #pool

  constructor(databaseUrl) {
    this.#pool = new pg.Pool({
      connectionString: databaseUrl,
      min: 2,
      max: 20,
      idleTimeoutMillis: 30_000,
      connectionTimeoutMillis: 5000,
    })
    this.#pool.on('error', () => {}) // An idle connection that broke is replaced by the next job.
  }

  async store({ sessionId, state, eventType, timestamp }) {
    const client = await this.#pool.connect()
    try {
      await client.query('BEGIN')
      await client.query({ name: 'session', text: UPSERT_SESSION, values: sessionOf(state) })
      const event = [sessionId, eventType, ...activeOf(state), new Date(timestamp), state]
      await client.query({ name: 'event', text: INSERT_EVENT, values: event })
      await client.query('COMMIT')
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {})
      throw error
    } finally {
      client.release()
    }
  }

  async close() {
    await this.#pool.end()
  }
}

function sessionOf(state) {
  return [
    state.session_id,
    state.sync_mode,
    state.time_per_cycle_ms,
    state.increment_ms,
    state.max_time_ms,
    state.created_at,
    state.session_started_at,
    state.session_completed_at,
    state.status,
    state.participants.length,
    state.updated_at,
  ]
}

function activeOf({ participants, active_participant_id: id }) {
  const active = participants.find(({ participant_id }) => participant_id === id)
  return [id, active?.time_remaining_ms ?? null]
}
