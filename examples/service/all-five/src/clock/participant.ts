import type { SyncParticipant } from '../types/session'

/** A participant who has not had a turn yet. */
export function newParticipant(id: string, index: number, time_ms: number): SyncParticipant {
  return {
    participant_id: id,
    total_time_ms: time_ms,
    time_remaining_ms: time_ms,
    has_gone: false,
    is_active: index === 0,
  }
}

/** The participant after a turn that left `left` ms. */
export function afterTurn(one: SyncParticipant, _elapsed: number, left: number): SyncParticipant {
  return { ...one, time_remaining_ms: Math.max(0, left), has_gone: true }
}
