import { randomUUID } from 'node:crypto'

/** A session as services store it while it runs: two participants, dates, fields of their own. */
export function makeSession() {
  const now = new Date()
  const participants = [0, 1].map((index) => ({
    participant_id: randomUUID(),
    participant_index: index,
    total_time_ms: 300_000,
    time_remaining_ms: 287_345,
    time_used_ms: 12_655,
    cycle_count: 7,
    has_gone: true,
    is_active: index === 0,
    has_expired: false,
  }))
  return {
    session_id: randomUUID(),
    version: 1,
    sync_mode: 'per_participant',
    status: 'running',
    participants,
    active_participant_id: participants[0].participant_id,
    total_time_ms: 600_000,
    time_per_cycle_ms: null,
    increment_ms: 2000,
    max_time_ms: null,
    cycle_started_at: now,
    session_started_at: now,
    session_completed_at: null,
    created_at: now,
    updated_at: now,
  }
}
