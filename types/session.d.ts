/**
 * What a session's clock measures.
 *
 * @example
 * await manager.createSession({ ...state, sync_mode: SyncMode.PER_CYCLE, time_per_cycle_ms: 30_000 })
 */
export declare enum SyncMode {
  PER_PARTICIPANT = 'per_participant',
  PER_CYCLE = 'per_cycle',
  PER_GROUP = 'per_group',
  GLOBAL = 'global',
  COUNT_UP = 'count_up',
}

/**
 * Where a session is in its life.
 *
 * @example
 * const session = await manager.getSession('game-1')
 * if (session?.status === SyncStatus.RUNNING) console.log('the clock is running')
 */
export declare enum SyncStatus {
  PENDING = 'pending',
  RUNNING = 'running',
  PAUSED = 'paused',
  EXPIRED = 'expired',
  COMPLETED = 'completed',
  CANCELLED = 'cancelled',
}

/** One participant of a session. Services may add fields: the module stores them and returns them unchanged. */
export interface SyncParticipant {
  participant_id: string
  total_time_ms: number
  time_remaining_ms: number
  has_gone: boolean
  is_active: boolean
}

/** The state of a session. Services may add fields: the module stores them and returns them unchanged. */
export interface SyncState {
  session_id: string
  /** `createSession` sets it to 1; each update adds 1. */
  version: number
  sync_mode: SyncMode
  status: SyncStatus
  participants: SyncParticipant[]
  active_participant_id: string | null
  total_time_ms: number
  time_per_cycle_ms: number | null
  increment_ms: number | null
  max_time_ms: number | null
  cycle_started_at: Date | null
  session_started_at: Date | null
  session_completed_at: Date | null
  /** `createSession` sets it to the current time. */
  created_at: Date
  /** Every write sets it to the current time. */
  updated_at: Date
}

/** The fields of a state that this module reads. A service's own type of state needs no others. */
export interface SessionFields {
  session_id: string
  /** Every write sets it. Every state that is read has one. */
  version?: number | undefined
}

/**
 * A state that a service writes. It may hold the value of an enum as text.
 *
 * @example
 * await manager.updateSession('game-1', { ...state, status: 'running' }, 1)
 */
export type WritableState<S> =
  | S
  | { [K in keyof S]: S[K] | (S[K] extends infer V extends string ? `${V}` : never) }

/** What a callback of `modifySession` returns: a state to write, or nothing to leave it as it is. */
// biome-ignore lint/suspicious/noConfusingVoidType: a callback without a return statement
export type ModifiedState<S> = WritableState<S> | undefined | void

declare global {
  namespace SyncKairos {
    /**
     * Names a service's own type of state, once. A `RedisStateManager` without a type argument then
     * holds this state. In the service's `types/session.ts`:
     *
     * ```ts
     * declare global {
     *   namespace SyncKairos {
     *     interface Register {
     *       state: SyncState
     *     }
     *   }
     * }
     * ```
     */
    interface Register {}
  }
}

/** The state of a manager without a type argument: the registered one, or `SyncState` if none is registered. */
export type DefaultState = SyncKairos.Register extends { state: infer S extends SessionFields }
  ? S
  : SyncState
