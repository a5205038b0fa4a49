'use strict'

const { randomUUID } = require('node:crypto')

/** A chess-clock session of two participants, with the fields that services add of their own. */
function makeState(overrides = {}) {
  const participants = [0, 1].map((index) => ({
    participant_id: randomUUID(),
    participant_index: index,
    total_time_ms: 300_000,
    time_remaining_ms: 300_000,
    time_used_ms: 0,
    cycle_count: 0,
    has_gone: false,
    is_active: index === 0,
    has_expired: false,
  }))
  return {
    session_id: randomUUID(),
    version: 1,
    sync_mode: 'per_participant',
    status: 'pending',
    participants,
    active_participant_id: participants[0].participant_id,
    total_time_ms: 600_000,
    time_per_cycle_ms: null,
    increment_ms: 2000,
    max_time_ms: null,
    cycle_started_at: null,
    session_started_at: null,
    session_completed_at: null,
    created_at: new Date('2020-01-01T00:00:00.000Z'),
    updated_at: new Date('2020-01-01T00:00:00.000Z'),
    ...overrides,
  }
}

/** Creates a session. Resolves to it as `getSession` gives it. */
async function createdBy(manager, overrides) {
  const state = makeState(overrides)
  await manager.createSession(state)
  return manager.getSession(state.session_id)
}

/** Creates a session that counts from 0. Resolves to its id. */
async function counterOf(manager) {
  const { session_id } = await createdBy(manager, { count: 0 })
  return session_id
}

/** A callback for `modifySession`: counts one more. */
const increment = (state) => ({ ...state, count: state.count + 1 })

module.exports = { counterOf, createdBy, increment, makeState }
