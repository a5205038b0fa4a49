import { SyncMode, type SyncState, SyncStatus } from '@/types/session'
import { afterTurn, newParticipant } from './participant'

/** The rules of the clock refuse a change. Nothing changed. */
export class ClockRuleError extends Error {
  override readonly name = 'ClockRuleError'
  readonly code = 'CLOCK_RULE'
}

export interface ClockSettings {
  /** The players, in the order of their turns. */
  participants: string[]
  /** Each player's time at the start, milliseconds. */
  time_ms: number
  /** What each turn adds to it, milliseconds. */
  increment_ms?: number
}

/** A clock that has not been started. */
export function newClock(sessionId: string, settings: ClockSettings): SyncState {
  const { participants, time_ms, increment_ms = 0 } = settings
  const now = new Date()
  return {
    session_id: sessionId,
    version: 1,
    sync_mode: SyncMode.PER_PARTICIPANT,
    status: SyncStatus.PENDING,
    participants: participants.map((id, index) => newParticipant(id, index, time_ms)),
    active_participant_id: participants[0] ?? null,
    total_time_ms: time_ms * participants.length,
    time_per_cycle_ms: null,
    increment_ms,
    max_time_ms: time_ms * participants.length,
    cycle_started_at: null,
    session_started_at: null,
    session_completed_at: null,
    created_at: now,
    updated_at: now,
  }
}

/** The same clock, running. */
export function started(clock: SyncState, now = new Date()): SyncState {
  if (clock.status !== SyncStatus.PENDING) throw new ClockRuleError(`The clock is ${clock.status}`)
  return { ...clock, status: SyncStatus.RUNNING, session_started_at: now, cycle_started_at: now }
}

/**
 * The same clock after this participant's turn: the next participant's time runs, or the clock has
 * expired. Only the active participant can end the turn, so a button that is pressed twice ends one.
 */
export function turnEnded(clock: SyncState, participantId: string, now = new Date()): SyncState {
  if (clock.status !== SyncStatus.RUNNING) throw new ClockRuleError(`The clock is ${clock.status}`)
  if (clock.active_participant_id !== participantId) {
    throw new ClockRuleError(`It is not the turn of ${participantId}`)
  }
  const since = clock.cycle_started_at ?? now
  // The turn may have begun on an instance whose clock is ahead of this one's.
  const elapsed = Math.max(0, now.getTime() - since.getTime())
  const at = clock.participants.findIndex((one) => one.participant_id === participantId)
  const left = (clock.participants[at]?.time_remaining_ms ?? 0) - elapsed
  const expired = left <= 0
  const next = (at + 1) % clock.participants.length
  const leftThen = expired ? 0 : left + (clock.increment_ms ?? 0)
  return {
    ...clock,
    status: expired ? SyncStatus.EXPIRED : SyncStatus.RUNNING,
    participants: clock.participants.map((one, index) => ({
      ...(index === at ? afterTurn(one, elapsed, leftThen) : one),
      is_active: !expired && index === next,
    })),
    active_participant_id: expired ? null : (clock.participants[next]?.participant_id ?? null),
    cycle_started_at: expired ? null : now,
    session_completed_at: expired ? now : null,
  }
}
