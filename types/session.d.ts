/**
 * What the clock of a session measures.
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
 * The phase that a session is in.
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

/**
 * A participant of a session. Services may add fields, which the module stores and returns unchanged.
 *
 * @example
 * const alice: SyncParticipant = {
 *   participant_id: 'alice',
 *   total_time_ms: 60_000,
 *   time_remaining_ms: 60_000,
 *   has_gone: false,
 *   is_active: true,
 * }
 * await manager.updateSession('game-1', { ...state, participants: [alice] }, 1)
 */
export interface SyncParticipant {
  participant_id: string
  /** Milliseconds. */
  total_time_ms: number
  /** Milliseconds. */
  time_remaining_ms: number
  has_gone: boolean
  is_active: boolean
}

/**
 * The state of a session. Services may add fields, which the module stores and returns unchanged.
 *
 * @example
 * const paused: SyncState = { ...state, status: SyncStatus.PAUSED, cycle_started_at: null }
 * await manager.updateSession('game-1', paused, 1)
 */
export interface SyncState {
  session_id: string
  /** `createSession` sets the version to 1. Each update adds 1. */
  version: number
  sync_mode: SyncMode
  status: SyncStatus
  participants: SyncParticipant[]
  active_participant_id: string | null
  /** Milliseconds. */
  total_time_ms: number
  /** Milliseconds. */
  time_per_cycle_ms: number | null
  /** Milliseconds. */
  increment_ms: number | null
  /** Milliseconds. */
  max_time_ms: number | null
  cycle_started_at: Date | null
  session_started_at: Date | null
  session_completed_at: Date | null
  /** `createSession` sets this date to the current time. */
  created_at: Date
  /** `createSession`, `updateSession` and `modifySession` set this date to the current time. */
  updated_at: Date
}

/**
 * The fields of a state that the module itself reads. A service's own type of state needs no others.
 *
 * @example
 * interface Board extends SessionFields {
 *   fen: string
 * }
 * const boards = new RedisStateManager<Board>('redis://localhost:6379')
 * await boards.close()
 */
export interface SessionFields {
  session_id: string
  /** Each write sets the version, so every state that the module returns has one. */
  version?: number | undefined
  /** A value of `SyncMode`, or of an enum of your own with the same values. A write refuses another. */
  sync_mode: string
  /** A value of `SyncStatus`, or of an enum of your own with the same values. A write refuses another. */
  status: string
  /** The participants, or an empty list. */
  participants: readonly unknown[]
}

/**
 * A state that a service writes. A field with an enum type also accepts the enum's values as text.
 *
 * @example
 * const running: WritableState<SyncState> = { ...state, status: 'running' }
 * await manager.updateSession('game-1', running, 1)
 */
export type WritableState<S> =
  | S
  | { [K in keyof S]: S[K] | (S[K] extends infer V extends string ? `${V}` : never) }

/**
 * The result of a callback of `modifySession`: the state to write, or `undefined` to write nothing.
 *
 * @example
 * const paused = (session: SyncState): ModifiedState<SyncState> => {
 *   if (session.status === SyncStatus.RUNNING) return { ...session, status: 'paused' }
 * }
 * await manager.modifySession('game-1', paused)
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a callback without a return statement
export type ModifiedState<S> = WritableState<S> | undefined | void

declare global {
  namespace SyncKairos {
    /**
     * Registers a service's own type of state. A `RedisStateManager` without a type argument then holds
     * this type. Write this once, in the service's `types/session.ts`:
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

/**
 * The state of a `RedisStateManager` without a type argument: the registered type, or `SyncState` if the
 * service registers none.
 *
 * @example
 * const session: DefaultState | null = await manager.getSession('game-1')
 * console.log(session?.version)
 */
export type DefaultState = SyncKairos.Register extends { state: infer S extends SessionFields }
  ? S
  : SyncState
