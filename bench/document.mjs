import { makeState } from '../__test__/harness/sessions.js'

/** A session as services store it while it runs: the clock has started, and some time is used. */
export function makeSession() {
  const now = new Date()
  const state = makeState({ status: 'running', cycle_started_at: now, session_started_at: now })
  for (const participant of state.participants) {
    Object.assign(participant, { time_remaining_ms: 287_345, time_used_ms: 12_655, cycle_count: 7 })
  }
  return { ...state, created_at: now, updated_at: now }
}

/** Creates a session for each loop with this; returns their ids. */
export async function createAll(loops, create) {
  const sessions = Array.from({ length: loops }, makeSession)
  for (const session of sessions) await create(session)
  return sessions.map((session) => session.session_id)
}
