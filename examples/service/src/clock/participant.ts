import type { SyncParticipant } from '../types/session'

/** A participant who has not had a turn yet. */
export function newParticipant(id: string, index: number, time_ms: number): SyncParticipant {
  return {
    participant_id: id,
    participant_index: index,
    total_time_ms: time_ms,
    time_used_ms: 0,
    time_remaining_ms: time_ms,
    cycle_count: 0,
    is_active: index === 0,
    has_expired: false,
  }
}

/** The participant after a turn that took `elapsed` ms and left `left` ms. */
export function afterTurn(one: SyncParticipant, elapsed: number, left: number): SyncParticipant {
  return {
    ...one,
    time_used_ms: one.time_used_ms + elapsed,
    time_remaining_ms: Math.max(0, left),
    cycle_count: one.cycle_count + 1,
    has_expired: left <= 0,
  }
}
