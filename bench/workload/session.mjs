import { randomUUID } from 'node:crypto'
import { makeState } from '../../__test__/harness/sessions.js'

/**
 * A session as services store it while it runs: the clock has started, and some time is used. Its
 * version comes first, as in what the module writes, so that all contenders store the same bytes.
 */
export function makeSession(participants = 2) {
  const now = new Date()
  const { version, ...state } = makeState({ status: 'running', created_at: now, updated_at: now })
  const [first] = state.participants
  const used = { time_remaining_ms: 287_345, time_used_ms: 12_655, cycle_count: 7 }
  return {
    version,
    ...state,
    cycle_started_at: now,
    session_started_at: now,
    participants: Array.from({ length: participants }, (_, index) => ({
      ...first,
      ...used,
      participant_id: index === 0 ? first.participant_id : randomUUID(),
      participant_index: index,
      is_active: index === 0,
    })),
  }
}

export function makeSessions(count, participants) {
  return Array.from({ length: count }, () => makeSession(participants))
}

/** The dates that every session has, turned from strings into dates, in place. */
export function reviveDates(state) {
  for (const field of DATES) if (state[field] !== null) state[field] = new Date(state[field])
  return state
}

const DATES = [
  'cycle_started_at',
  'session_started_at',
  'session_completed_at',
  'created_at',
  'updated_at',
]
