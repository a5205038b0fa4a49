// The types of a service that has its own: enums of the same values, participants without `has_gone`
// and with fields of their own, limits that are absent and not null.

export enum SyncMode {
  PER_PARTICIPANT = 'per_participant',
  PER_CYCLE = 'per_cycle',
  PER_GROUP = 'per_group',
  GLOBAL = 'global',
  COUNT_UP = 'count_up',
}

export enum SyncStatus {
  PENDING = 'pending',
  RUNNING = 'running',
  PAUSED = 'paused',
  EXPIRED = 'expired',
  COMPLETED = 'completed',
  CANCELLED = 'cancelled',
}

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
