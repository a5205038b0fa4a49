/** What a session's clock measures. */
export enum SyncMode {
  PER_PARTICIPANT = 'per_participant',
  PER_CYCLE = 'per_cycle',
  PER_GROUP = 'per_group',
  GLOBAL = 'global',
  COUNT_UP = 'count_up',
}

/** Where a session is in its life. */
export enum SyncStatus {
  PENDING = 'pending',
  RUNNING = 'running',
  PAUSED = 'paused',
  EXPIRED = 'expired',
  COMPLETED = 'completed',
  CANCELLED = 'cancelled',
}

/** One participant. Times are in milliseconds. */
export interface SyncParticipant {
  participant_id: string
  participant_index: number
  total_time_ms: number
  time_used_ms: number
  time_remaining_ms: number
  cycle_count: number
  is_active: boolean
  has_expired: boolean
  group_id?: string
}

/** A session's state. Times are in milliseconds. */
export interface SyncState {
  session_id: string
  version: number
  sync_mode: SyncMode
  status: SyncStatus
  participants: SyncParticipant[]
  active_participant_id: string | null
  total_time_ms: number
  time_per_cycle_ms: number | null
  increment_ms?: number
  max_time_ms?: number
  cycle_started_at: Date | null
  session_started_at: Date | null
  session_completed_at: Date | null
  created_at: Date
  updated_at: Date
}

// `RedisStateManager` without a type argument holds this state.
declare global {
  namespace SyncKairos {
    interface Register {
      state: SyncState
    }
  }
}
