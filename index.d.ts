/// <reference types="node" />
import { EventEmitter } from 'node:events'
import type { Readable } from 'node:stream'
import type {
  RedisArgument,
  RedisCallback,
  RedisCommands,
  RedisPipelineCommands,
  RedisPipelineResult,
} from './config/redisCommands.js'

export type {
  RedisArgument,
  RedisCallback,
  RedisCommands,
  RedisPipelineResult,
} from './config/redisCommands.js'

// ---------------------------------------------------------------------------------------------
// Sessions

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

// ---------------------------------------------------------------------------------------------
// The manager

/**
 * Options of a manager. The constructor refuses an unknown option with `InvalidStateError`.
 *
 * @example
 * const manager = new RedisStateManager('redis://localhost:6379', null, null, {
 *   keyPrefix: 'app:session:',
 *   ttlSeconds: 7200,
 *   commandTimeoutMs: 2000,
 *   maxInFlight: 1000,
 *   maxInFlightBytes: 64 * 1024 * 1024,
 *   maxFeedBytes: 16 * 1024 * 1024,
 *   maxStateBytes: 64 * 1024,
 *   updatesChannel: 'app:session-updates',
 *   allPrefixes: false,
 *   validate: 'strict',
 *   wsChannelPrefix: 'app:ws:',
 *   logger: console,
 *   cache: { maxSessions: 50_000 },
 * })
 * await manager.close()
 */
export interface RedisStateManagerOptions {
  /** Before each session id in a session's key. Default `'session:'`. */
  keyPrefix?: string
  /** How long a session lives after its last write or touch, seconds. Default 3600. */
  ttlSeconds?: number
  /** The time in which every call settles, milliseconds, 600000 at most. Default 5000. */
  commandTimeoutMs?: number
  /** How many calls may be in flight; one more rejects at once. Default 10000. */
  maxInFlight?: number
  /**
   * How many bytes of JSON text the calls in flight may send together, counted as characters; a call
   * beyond that rejects at once, unless it is the only one. Default 268435456 (256 MiB).
   */
  maxInFlightBytes?: number
  /**
   * How many bytes of updates and messages may wait for the callbacks of this thread's managers.
   * Beyond that the manager gives up the connection of its subscriptions, and is brought up to date
   * when half of them are delivered. Default 67108864 (64 MiB).
   */
  maxFeedBytes?: number
  /** The largest state, bytes of its JSON. Default 1 MiB. */
  maxStateBytes?: number
  /**
   * The channel of updates and deletions. Default `'session-updates'`. Managers with different key
   * prefixes may share it: each message names its key prefix.
   */
  updatesChannel?: string
  /**
   * Whether `subscribeToUpdates` also passes on messages that name another key prefix than this
   * manager's. Its callbacks then get the key prefix as a third argument; null where the message
   * names none, because an old instance sent it. Default false.
   */
  allPrefixes?: boolean
  /**
   * Before each session id in a WebSocket channel, not empty. Default `'ws:'`. The channel says
   * nothing about the key prefix: managers with the same `wsChannelPrefix` hear each other's
   * messages about sessions with the same id.
   */
  wsChannelPrefix?: string
  /**
   * What is looked at before a state is written. An `InvalidStateError` names the path, such as
   * `participants[0].total_time_ms`.
   *
   * - `true`: values that JSON would silently change: `NaN` and infinities, invalid dates and those
   *   outside the years 0 to 9999, and objects whose content is not in their properties (`Map`,
   *   `Set`, `Promise`, `RegExp`, typed arrays, …). Members that are undefined or functions are left
   *   out as ever, and an object with a `toJSON()` is written as that says.
   * - `'strict'`: also the types of the known fields that are there. Dates may be text.
   * - `false`: only what no session can do without: `session_id`, `sync_mode`, `status`,
   *   `participants`, `version`.
   *
   * Default true.
   */
  validate?: boolean | 'strict'
  /**
   * Receives problems that no call can report (lost connections, gaps, failing callbacks), and the
   * end of outages. Default: the process is warned (see `Logger`).
   */
  logger?: Logger
  /** Answers `getSession`, and the reads of `modifySession`, from memory. Default: no cache. */
  cache?: SessionCacheOptions
}

/**
 * A cache of sessions in this process. Redis keeps it right: it tells the manager of each cached
 * session that changes (`CLIENT TRACKING`).
 *
 * - The manager sees its own writes at once.
 * - The manager sees the writes of others within a round trip, whatever command they used.
 * - An answer from the cache is at most 4 s out of date, whatever happens to the connection or to this
 *   process. When the manager loses the connection, it empties the cache.
 * - The cache answers for an expired session for at most `ttlSeconds` after its `updated_at`, by this
 *   machine's clock. Redis usually tells of the expiry earlier.
 * - An update with an outdated version fails with `ConcurrencyError`, as without a cache.
 *
 * Each answer is a new object. The cache does not hold corrupt values, missing sessions, states more
 * than 100 levels deep, or states that were updated more than `ttlSeconds` ago. Each manager has a
 * cache of its own.
 *
 * If an ACL forbids `client|tracking`, the manager works without a cache and warns the logger once.
 *
 * @example
 * const cache = { maxSessions: 50_000 }
 * const manager = new RedisStateManager('redis://localhost:6379', null, null, { cache })
 * await manager.close()
 */
export interface SessionCacheOptions {
  /**
   * How many sessions the cache holds, from 1 to 10 million; it drops those that were not read for the
   * longest time. A session of two participants takes about 1 KB. Default 10000.
   */
  maxSessions?: number
}

/**
 * pino's signature. Without one the process is warned (`process.emitWarning`) of what nobody hears
 * of otherwise:
 *
 * - `SYNCKAIROS_REDIS_OUTAGE`: a Redis could not be connected to. A connection that is lost and made
 *   again by the first try is no outage. `SYNCKAIROS_POSTGRESQL_OUTAGE`: a worker could not store in
 *   its database. Each once an outage and server, however many managers, queues and clients meet it.
 * - `SYNCKAIROS_REDIS_RECOVERED`, `SYNCKAIROS_POSTGRESQL_RECOVERED`: it is over.
 * - `SYNCKAIROS_UNHEARD`: an error (a callback that failed, a dead letter, …). Each kind once.
 *
 * A client or queue with a listener for `error` warns of no outage.
 */
export interface Logger {
  /** Good news, such as the end of an outage. Without it `warn` is called. */
  info?(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/**
 * A queue for the audit: a `DBWriteQueue`, or a service's own. The manager calls `queueWrite` of a
 * service's own queue after each write, and does not await it.
 *
 * @example
 * const own: WriteQueue = {
 *   async queueWrite(sessionId, state, eventType) {
 *     console.log(sessionId, state.version, eventType)
 *   },
 * }
 * const manager = new RedisStateManager('redis://localhost:6379', null, own)
 * await manager.close()
 */
export interface WriteQueue<S extends SessionFields = DefaultState> {
  queueWrite(sessionId: string, state: S, eventType: string): unknown
}

/**
 * Sessions that many service instances share through one Redis. A manager has connections of its own:
 * close it when it is no longer needed.
 *
 * Every promise settles within `commandTimeoutMs`, with one of four outcomes:
 *
 * - The call is done.
 * - The call was refused (`SessionNotFoundError`, `ConcurrencyError`, …). Nothing changed.
 * - The call was not sent, or Redis refused it for now (`RedisUnavailableError`, `ClosedError`).
 *   Nothing changed.
 * - The call was sent, and no answer came (`OutcomeUnknownError`). It may have been applied.
 *
 * Calls about one session keep their order, with or without `await`. Redis executes the writes and
 * broadcasts in the order of the calls. A read sees all writes that were called before it, except those
 * that Redis refuses for now.
 *
 * @example
 * const manager = new RedisStateManager('redis://localhost:6379')
 * await manager.createSession(state)
 * await manager.modifySession(state.session_id, (s) => ({ ...s, status: SyncStatus.RUNNING }))
 * await manager.close()
 */
export declare class RedisStateManager<S extends SessionFields = DefaultState>
  implements AsyncDisposable
{
  /**
   * @param redis the Redis of the sessions: a URL, settings, a client of this module, or an instance of
   *   ioredis 5 or 6 or of node-redis 4 to 6, whose settings the manager reads
   * @param pubSub the same, for the connection of the subscriptions. Default: as `redis`.
   * @param dbQueue the queue for the audit. If it is a `DBWriteQueue` on the same Redis, one script
   *   makes the change and appends the record: no crash can come in between. Default: no audit.
   * @param keyPrefix the key prefix, or all options
   * @throws {InvalidStateError} if a URL or an option is invalid
   */
  constructor(
    redis: RedisSource,
    pubSub?: RedisSource | null,
    dbQueue?: DBWriteQueue | null,
    keyPrefix?: string | RedisStateManagerOptions,
  )
  /** With a service's own queue: the manager's state is the queue's. */
  constructor(
    redis: RedisSource,
    pubSub: RedisSource | null | undefined,
    dbQueue: WriteQueue<S> | null | undefined,
    keyPrefix?: string | RedisStateManagerOptions,
  )

  // Each method with a state is generic and has an overload that no call can choose. TypeScript
  // compares such methods without their type parameters. So a manager may be passed on as one of
  // another state, and a subclass may override these methods for its own state.
  getSession(sessionId: never): Promise<unknown>
  /**
   * The session's state, or null where there is none (any more). Its five date fields hold a `Date`
   * for any text that `new Date()` reads; elsewhere, what `toISOString()` writes comes back as a `Date`.
   * @throws {StateDeserializationError} where the stored value is no session
   */
  getSession<T extends S = S>(sessionId: string): Promise<T | null>

  getSessions(sessionIds: never): Promise<unknown>
  /**
   * Several sessions in the order of their ids, null where there is none. Takes one round trip; a
   * second one where some are missing.
   * @param options.onCorrupt called for each stored value that is no session; its place is null
   * @throws {StateDeserializationError} without `onCorrupt`: about the first such session
   */
  getSessions<T extends S = S>(
    sessionIds: readonly string[],
    options?: { onCorrupt?: (error: StateDeserializationError) => void },
  ): Promise<(T | null)[]>

  createSession(state: never): Promise<unknown>
  /**
   * Creates a session, or replaces an existing one. Sets `version` to 1, sets `created_at` and
   * `updated_at` to the current time, starts the TTL, and tells all instances.
   * @param options.ifAbsent whether to keep an existing session. Default false.
   * @throws {SessionExistsError} if `ifAbsent` is true and the session exists
   * @example await manager.createSession({ ...state, session_id: 'game-2' }, { ifAbsent: true })
   */
  createSession<T extends S = S>(
    state: WritableState<NoInfer<T>>,
    options?: { ifAbsent?: boolean },
  ): Promise<void>

  updateSession(sessionId: never, state: never): Promise<unknown>
  /**
   * Replaces the state of a session. Adds 1 to the stored version, sets `updated_at` to the current
   * time, renews the TTL, and tells all instances.
   * @param expectedVersion the version that must be stored. One of any number of concurrent writers
   *   with the same expected version succeeds. `undefined` disables the version check (beware of
   *   `cached?.version`): the last writer's state stays, and a missing session is created with the
   *   version of `state` plus 1.
   * @throws {ConcurrencyError} if another version is stored than the expected one
   * @throws {SessionNotFoundError} if a version is expected and there is no session
   * @throws {StateDeserializationError} if the stored value is not a session
   * @example await manager.updateSession('game-1', { ...state, status: SyncStatus.PAUSED }, 1)
   */
  updateSession<T extends S = S>(
    sessionId: string,
    state: WritableState<NoInfer<T>>,
    expectedVersion?: number,
  ): Promise<void>

  modifySession(sessionId: never, fn: never): Promise<unknown>
  /**
   * Reads a session, calls `fn` with the state, and writes what `fn` returns with the version that
   * was read. On a conflict it does so again, with the state as it is then, until
   * `commandTimeoutMs` have passed since the call.
   *
   * - `fn` may run several times. If it returns `undefined`, nothing is written.
   * - Calls of one manager for one session run one after the other, in their order. A callback that
   *   runs for longer than a second, or a fifth of `commandTimeoutMs`, does not hold up the others
   *   any more: they go on, and the logger is told.
   * - The time that `fn` takes counts, but no run is cut off: what it returns after the deadline is
   *   still written if no other writer was first.
   * @param options.retries how many conflicts to bear. Default: any number, until the deadline.
   * @returns the state written; where `fn` returned `undefined`, the state that was read
   * @throws {ConcurrencyError} after the last retry, or at the deadline
   * @throws {SessionNotFoundError} where there is none
   */
  modifySession<T extends S = S>(
    sessionId: string,
    fn: (state: T) => ModifiedState<NoInfer<T>> | Promise<ModifiedState<NoInfer<T>>>,
    options?: { retries?: number },
  ): Promise<T>

  /** Deletes a session and tells all instances. Does the same if there is no session. */
  deleteSession(sessionId: string): Promise<void>

  /** Renews the TTL of a session. Resolves to false if there is no session. */
  touchSession(sessionId: string): Promise<boolean>

  subscribeToUpdates(callback: never): () => void
  /**
   * Calls back for every update (state) and deletion (null), by all instances and this one, in
   * order. After an interruption it also calls back for what changed meanwhile, of the sessions of
   * its own key prefix that it has heard of (10 000 at most). Sessions of other key prefixes are not
   * passed on (`allPrefixes`). Keeps the process alive.
   * @returns a function that unsubscribes this callback
   */
  subscribeToUpdates<T extends S = S>(
    callback: (sessionId: string, state: T | null, keyPrefix?: string | null) => void,
  ): () => void

  /**
   * Calls `callback` for every message that any instance, this one included, sends with
   * `broadcastToSession`. Messages that are sent while the connection is lost are lost. Keeps the
   * process alive.
   * @returns a function that unsubscribes this callback
   */
  // biome-ignore lint/suspicious/noExplicitAny: a message is whatever its sender sent
  subscribeToWebSocket(callback: (sessionId: string, message: any) => void): () => void

  /**
   * Resolves once Redis has confirmed all subscriptions made so far. The manager subscribes, and
   * subscribes again after a lost connection, whether or not anybody awaits this.
   * @throws {RedisUnavailableError} if Redis has not confirmed them within `commandTimeoutMs`
   */
  subscribed(): Promise<void>

  /** Sends a message, as JSON, to the callbacks of `subscribeToWebSocket` on all instances, at most once. */
  broadcastToSession(sessionId: string, message: unknown): Promise<void>

  /**
   * Closes both clients, also those that were passed in, of whatever library. What is in flight has
   * a second to end; all is settled within two. May be called twice; afterwards every call rejects
   * with `ClosedError`.
   *
   * A client that was also given to a queue or another manager goes on until the last of them is
   * closed, and ends then; there, what is in flight settles by its own deadline. Managers, queues
   * and clients may be closed in any order.
   */
  close(): Promise<void>

  /**
   * The same as `close()`.
   * @example
   * await using manager = new RedisStateManager('redis://localhost:6379')
   * console.log(await manager.getSession('game-1'))
   */
  [Symbol.asyncDispose](): Promise<void>
}

// ---------------------------------------------------------------------------------------------
// The audit

/** TLS to PostgreSQL. Certificates and keys are in PEM. An unknown option is refused. */
export interface DatabaseTlsOptions {
  /** Whether the server's certificate and its name are verified. Default true. */
  rejectUnauthorized?: boolean
  /** The only authorities, or the certificates of servers, that are trusted. */
  ca?: string | Uint8Array | readonly (string | Uint8Array)[]
  /** The certificate of this client, with `key`. */
  cert?: string | Uint8Array
  /** The key of `cert`. */
  key?: string | Uint8Array
  /** The name in the server's certificate. Default: the host. */
  servername?: string
}

/**
 * Options of a queue. The constructor refuses an unknown option with `InvalidStateError`.
 *
 * @example
 * const queue = new DBWriteQueue('redis://localhost:6379', {
 *   queueName: 'db-writes',
 *   databaseUrl: process.env.DATABASE_URL ?? '',
 *   poolMin: 1,
 *   poolMax: 5,
 *   ssl: false,
 *   attempts: 5,
 *   backoffDelay: 1000,
 *   batchSize: 200,
 *   maxBatchBytes: 4 * 1024 * 1024,
 *   maxHeldBytes: 16 * 1024 * 1024,
 *   maxBacklog: 1_000_000,
 *   migrate: true,
 *   commandTimeoutMs: 2000,
 *   maxInFlight: 1000,
 *   maxInFlightBytes: 64 * 1024 * 1024,
 *   logger: console,
 * })
 * await queue.close()
 *
 * // A process that queues records, and leaves them to the workers of other processes.
 * const producer = new DBWriteQueue('redis://localhost:6379', { worker: false })
 * await producer.close()
 */
export interface DBWriteQueueOptions {
  /** The queue's name. Queues of one name on one Redis are one queue. Default `'db-writes'`. */
  queueName?: string
  /** Whether this process stores records in PostgreSQL. If false, it only queues them. Default true. */
  worker?: boolean
  /**
   * `postgres://user:password@host:port/database?parameter=value`; several hosts are separated by
   * commas. Default: the environment's `DATABASE_URL`, then its `PGHOST`, `PGPORT`, `PGUSER`,
   * `PGPASSWORD`, `PGDATABASE`, `PGOPTIONS` and `PGAPPNAME`.
   *
   * Parameters: `host` (also the directory of a Unix socket), `port`, `user`, `password`, `dbname`,
   * `options`, `application_name`, `schema` (sets the `search_path`), `connect_timeout` (seconds, 60 at
   * most; default 5), `connection_limit` (sets `poolMax`), `ssl`, `sslmode`, `sslrootcert`, `sslcert`,
   * `sslkey`, `sslnegotiation` and `uselibpqcompat`, which mean what they mean to `pg`. Others are
   * ignored.
   *
   * @throws {InvalidStateError} for a URL or a parameter that cannot be used; the message has no part
   * of the URL
   */
  databaseUrl?: string
  /** How many idle connections to PostgreSQL stay open. Default: `DATABASE_POOL_MIN`, then 2. */
  poolMin?: number
  /**
   * How many connections to PostgreSQL may be open. A worker uses two: it stores two batches at a time.
   * Default: `connection_limit` of the URL, then `DATABASE_POOL_MAX`, then 20.
   */
  poolMax?: number
  /**
   * TLS to PostgreSQL. `true` verifies the certificate and its host name against Node's authorities
   * (with `NODE_EXTRA_CA_CERTS`) and the system's, or against those of `sslrootcert` in the URL.
   *
   * Default: `DATABASE_SSL`, then `ssl` or `sslmode` of the URL, then `PGSSLMODE`, then none.
   * `DATABASE_SSL` is `verify`, `no-verify`, `false` (no opinion) or `true`: `true` encrypts, and
   * verifies only if the URL asks for it; if not, a warning with code `SYNCKAIROS_DATABASE_UNVERIFIED`
   * goes to the logger or else to the process.
   */
  ssl?: boolean | DatabaseTlsOptions
  /**
   * How often the worker tries a record if it is unclear whether the record or PostgreSQL is at fault.
   * A record that is clearly at fault is tried once; while PostgreSQL is at fault there is no limit.
   * Default 5.
   */
  attempts?: number
  /** How long the worker waits before the second try, milliseconds. It doubles the wait each time, up to 30 s. Default 2000. */
  backoffDelay?: number
  /** How many records one transaction may hold, 5000 at most. Default 500. */
  batchSize?: number
  /**
   * How many bytes of states go to PostgreSQL in one transaction. A larger record has a transaction
   * of its own. Default 8388608 (8 MiB). The worker reads 16 records at a time, so it may hold 16
   * records beyond this limit, in each of two batches.
   */
  maxBatchBytes?: number
  /**
   * How many bytes of states may wait for another try in this process; then the worker reads no new
   * records, which wait in Redis. Default 33554432 (32 MiB).
   */
  maxHeldBytes?: number
  /**
   * Whether the worker creates missing tables, as `migrate()` does, before it stores its first
   * record. It tries until that is done. Needs `worker`. Default false.
   */
  migrate?: boolean
  /**
   * How many records the queue may hold. Beyond this limit `queueWrite` rejects with
   * `BacklogFullError`, and a manager writes without a record and tells the logger. Default: any number.
   */
  maxBacklog?: number
  /** The time in which every call but `migrate` settles, milliseconds. Default 5000. */
  commandTimeoutMs?: number
  /** How many calls may be in flight; one more rejects at once. Default 10000. */
  maxInFlight?: number
  /**
   * How many bytes of JSON text the calls in flight may send together, counted as characters; a call
   * beyond that rejects at once, unless it is the only one. Default 268435456 (256 MiB).
   */
  maxInFlightBytes?: number
  /** Told of dead letters (error), lost connections and risky server settings. Default: silent. */
  logger?: Logger
}

/** A record, as the events of a queue describe it. */
export interface AuditRecord {
  /** A UUID (version 7): the primary key in `sync_events`. */
  id: string
  sessionId: string
  eventType: string
  /** The number of this try, from 1. */
  attempt: number
}

/** A record that PostgreSQL refused and that the worker does not try again. */
export interface DeadLetter<S extends SessionFields = DefaultState> {
  id: string
  sessionId: string
  eventType: string
  /** How often the worker tried it. */
  attempts: number
  queuedAt: Date
  failedAt: Date
  /** Why PostgreSQL refused it. */
  error: DatabaseError
  /** PostgreSQL's code, such as `'22P02'`. Null if there is none. */
  sqlstate: string | null
  /** The state. Null where the record is about a deletion, and where the state cannot be read. */
  state: S | null
  /** The text of a state that cannot be read, as another program may have queued it; else null. */
  rawState: string | null
}

/** The result of `adoptBullMQ`. */
export interface BullMQAdoption {
  /** How many jobs have become records. */
  adopted: number
  /** The ids of jobs that do not concern a session. They stay in BullMQ. */
  skipped: string[]
}

/** How many records are in each state, for all instances together. */
export interface DBWriteQueueMetrics {
  /** Queued, not yet claimed by a worker. */
  waiting: number
  /** Claimed by a worker. */
  active: number
  /** Stored in PostgreSQL. */
  completed: number
  /** Dead letters. */
  failed: number
  /** Waiting for another try. */
  delayed: number
}

/**
 * The events of a queue. The process whose worker handles a record emits them.
 *
 * @example
 * queue.on('active', (record) => console.log('storing', record.id, 'try', record.attempt))
 * queue.on('completed', (record) => console.log('stored', record.sessionId, record.eventType))
 * queue.on('failed', (record, error) => console.log('refused', record.id, error.sqlstate))
 * queue.on('retrying', (record, error) => console.log('later', record.id, error.message))
 * queue.on('error', (error) => console.log('a server is away:', error.message))
 * queue.on('drained', () => console.log('nothing waits'))
 */
export interface DBWriteQueueEvents {
  /** The worker sends the record to PostgreSQL. */
  active: [record: AuditRecord]
  /** The record is stored in PostgreSQL. */
  completed: [record: AuditRecord]
  /** The record became a dead letter: an operator has to look at it. */
  failed: [record: AuditRecord, error: DatabaseError]
  /** The record could not be stored. The worker tries it again. */
  retrying: [record: AuditRecord, error: DatabaseError]
  /**
   * A problem of the worker. Needs no listener.
   * - `DatabaseError`, `RedisUnavailableError`: PostgreSQL or Redis cannot be reached. Once an outage.
   * - code `AUDIT_RECORDS_LOST`: records may be lost, as the queue vanished from Redis (`FLUSHALL`).
   * - code `INTERNAL_ERROR`: the worker failed, and tries again. Please report it.
   */
  error: [error: StateError]
  /** The queue is empty. */
  drained: []
}

/**
 * Stores every change of a session in PostgreSQL, exactly once. Records wait in Redis; the workers of
 * all instances share them. No outage loses a record, however long it is. Only a record that PostgreSQL
 * refuses becomes a dead letter. A queue with a worker keeps the process alive until `close()`.
 *
 * @example
 * const queue = new DBWriteQueue('redis://localhost:6379') // PostgreSQL: DATABASE_URL
 * await queue.migrate()
 * queue.on('failed', (record, error) => console.log(record.sessionId, error.sqlstate))
 * const manager = new RedisStateManager('redis://localhost:6379', null, queue)
 * await manager.createSession(state)
 * await manager.close()
 * await queue.close()
 */
export declare class DBWriteQueue
  extends EventEmitter<DBWriteQueueEvents>
  implements AsyncDisposable
{
  /**
   * @param redis as for a manager. The queue does not close a client or an instance that it was given.
   * @throws {InvalidStateError} if a URL or an option is invalid
   */
  constructor(redis: RedisSource, options?: DBWriteQueueOptions)

  /**
   * Queues a record of a session's state, or of its deletion (null). Resolves once Redis has the
   * record. A manager with this queue queues a record of each of its writes.
   * @throws {BacklogFullError} if the queue holds `maxBacklog` records
   * @example await queue.queueWrite('game-1', state, 'cycle_switched')
   */
  queueWrite(sessionId: string, state: object | null, eventType: string): Promise<void>

  /**
   * Counts the records of all instances.
   * @example
   * const { waiting, active, failed } = await queue.getMetrics()
   * console.log(`${waiting + active} records to store, ${failed} dead letters`)
   */
  getMetrics(): Promise<DBWriteQueueMetrics>

  /**
   * Creates missing tables and their indexes. It does not change existing tables. Several processes may
   * call it at once.
   * @throws {DatabaseError} if PostgreSQL refuses, or cannot be reached
   */
  migrate(): Promise<void>

  /**
   * Dead letters, newest first, 1000 at a time at most. Default: the newest 50. A large `offset`
   * takes many requests to Redis, of 500 letters each; none of them blocks Redis for long.
   */
  getFailed<S extends SessionFields = DefaultState>(page?: {
    offset?: number
    limit?: number
  }): Promise<DeadLetter<S>[]>

  /**
   * Queues dead letters again: those with these ids, or all. A record that reached PostgreSQL before is
   * not stored twice. Resolves to how many it has queued; to fewer if an answer was lost meanwhile.
   */
  retryFailed(ids?: readonly string[]): Promise<number>

  /**
   * Deletes the dead letters with these ids. Resolves to how many it has deleted, as `retryFailed`.
   * @example
   * const letters = await queue.getFailed({ limit: 1000 })
   * const hopeless = letters.filter(({ sqlstate }) => sqlstate === '22P02')
   * await queue.removeFailed(hopeless.map(({ id }) => id))
   */
  removeFailed(ids: readonly string[]): Promise<number>

  /**
   * Takes over the jobs that wait, are delayed or have failed in a BullMQ queue on the same Redis,
   * each once, also while older instances add more. A job that one of their workers has locked is
   * left to it. The lock of a killed worker runs out (after 30 s by BullMQ's default); call this again
   * then. Several processes may call it at once.
   * @param from.queueName default: this queue's
   * @param from.prefix BullMQ's key prefix. Default `'bull'`.
   * @returns how many (fewer where an answer was lost meanwhile), and the ids of the jobs that are
   *   no records of a session: they stay where they are
   * @example await queue.adoptBullMQ() // { adopted: 1204, skipped: [] }
   */
  adoptBullMQ(from?: { queueName?: string; prefix?: string }): Promise<BullMQAdoption>

  /** Resolves when no record is waiting, active or delayed. It waits as long as that takes. */
  drained(): Promise<void>

  /**
   * Ends the worker once its current batches are stored, within ten seconds. The workers of other
   * instances take over the records that are left. May be called twice.
   * @param force whether to end the worker at once. Default false.
   */
  close(force?: boolean): Promise<void>

  /**
   * The same as `close()`.
   * @example
   * await using queue = new DBWriteQueue('redis://localhost:6379')
   * await queue.migrate()
   */
  [Symbol.asyncDispose](): Promise<void>
}

// ---------------------------------------------------------------------------------------------
// The client

/**
 * Options of a client. The constructor refuses an unknown option with `InvalidStateError`.
 *
 * @example
 * // For a probe: it does not wait long for Redis.
 * const probe = createRedisClient('redis://localhost:6379', {
 *   commandTimeoutMs: 500,
 *   maxInFlight: 10,
 *   maxInFlightBytes: 1024 * 1024,
 * })
 * console.log(await probe.ping()) // PONG
 * await probe.quit()
 */
export interface RedisClientOptions {
  /** The time in which each command settles, milliseconds, 600000 at most. Default 5000. */
  commandTimeoutMs?: number
  /**
   * How many commands may be in flight; one more rejects at once. A pipeline or a transaction counts as
   * one. Default 10000.
   */
  maxInFlight?: number
  /**
   * How many bytes the calls in flight may send together; a call beyond that rejects at once, unless
   * it is the only one. Default 268435456 (256 MiB).
   */
  maxInFlightBytes?: number
}

/**
 * The address of a Redis server. The constructor refuses an unknown setting with `InvalidStateError`.
 *
 * @example
 * const client = createRedisClient({
 *   host: 'redis.example.com',
 *   port: 6380,
 *   username: 'service',
 *   password: process.env.REDIS_PASSWORD ?? '',
 *   db: 1,
 *   tls: true,
 * })
 * client.disconnect() // It connects when it is first used.
 *
 * const local = createRedisClient({ path: '/run/redis.sock' })
 * local.disconnect()
 */
export interface RedisServerOptions {
  /** Required unless `path` is set. */
  host?: string
  /** Default 6379. */
  port?: number
  /** The path of a Unix socket, instead of `host` and `port`. */
  path?: string
  /** The name of an ACL user. Default: Redis' default user. */
  username?: string
  /** Default: none; with a `username`, an empty one. */
  password?: string
  /** The number of the database. Default 0. */
  db?: number
  /**
   * Whether to encrypt the connection. `true` verifies the certificate and its host name with the
   * authorities of the system and of Node.js. Default false.
   */
  tls?: boolean | RedisTlsOptions
}

/**
 * Settings of TLS to Redis. Certificates and keys are in PEM.
 *
 * @example
 * const trusting = (ca: string) => {
 *   return createRedisClient({ host: 'redis.example.com', tls: { ca, rejectUnauthorized: true } })
 * }
 * const withCertificate = (cert: string, key: string) => {
 *   return createRedisClient({ host: 'redis.example.com', tls: { cert, key } })
 * }
 * console.log(typeof trusting, typeof withCertificate)
 */
export interface RedisTlsOptions {
  /**
   * The certificates to trust: authorities, or the server's own certificate, such as a self-signed one.
   * The module checks its dates and its name. Default: the authorities of the system and of Node.js,
   * with `NODE_EXTRA_CA_CERTS`.
   */
  ca?: string | Uint8Array | (string | Uint8Array)[]
  /** The certificate of this side. Requires `key`. */
  cert?: string | Uint8Array
  key?: string | Uint8Array
  /** Whether to verify the server's certificate. Default true. */
  rejectUnauthorized?: boolean
}

/**
 * An instance of ioredis or node-redis. The module reads its settings (address, database, user, TLS, key
 * prefix) and makes connections of its own, which reconnect for ever, whatever the instance's retry
 * strategy. It refuses settings that it cannot honour: a cluster, a sentinel, a TLS setting that is not in
 * `RedisTlsOptions`. The instance stays usable. When its owner closes it, the module's connections end.
 */
export type RedisInstance =
  | { readonly status: string; readonly options: object; quit(): Promise<unknown> }
  | { readonly isReady: boolean; readonly options?: object | undefined; quit(): Promise<unknown> }

/** The server of a manager or queue: a URL, settings, a client, or an instance of another library. */
export type RedisSource = string | RedisServerOptions | RedisClient | RedisInstance

/**
 * `wait`: not used yet. `ready`: connected. `reconnecting`: a connection that is used is lost or could not
 * be made, and is tried again. `end`: closed by its owner.
 */
export type RedisClientStatus = 'wait' | 'connecting' | 'ready' | 'reconnecting' | 'end'

/** A reply, as clients of RESP2 know it. */
export type RedisReply = string | number | null | RedisReply[]

/** The same, with buffers in place of strings. */
export type RedisBufferReply = Buffer | number | null | RedisBufferReply[]

/** What `client.options` says: where the server is, and the client's options. */
export interface RedisClientSettings extends Required<RedisClientOptions> {
  /** Undefined with a Unix socket. */
  readonly host?: string
  /** Undefined with a Unix socket. */
  readonly port?: number
  /** Of a Unix socket. */
  readonly path?: string
  readonly username: string | null
  /** Not enumerable: who logs the options does not log it. */
  readonly password: string | null
  readonly db: number
  /** Whether the connection is encrypted. */
  readonly tls?: boolean
}

/**
 * Options of `scanStream`, `hscanStream`, `sscanStream` and `zscanStream`.
 *
 * @example
 * for await (const keys of client.scanStream({ match: 'session:*', count: 100, type: 'string' })) {
 *   console.log(keys)
 * }
 * for await (const fields of client.hscanStream('hash', { count: 100 })) console.log(fields)
 * for await (const members of client.sscanStream('set')) console.log(members)
 * for await (const members of client.zscanStream('sorted set')) console.log(members)
 * // Redis 7.4 and later: client.hscanStream('hash', { noValues: true })
 */
export interface RedisScanOptions {
  /** A glob pattern. */
  match?: string
  /** How much Redis looks at in one step. */
  count?: number
  /** Only keys of this type; for `scanStream`. */
  type?: string
  /** Only the fields, not their values; for `hscanStream`. */
  noValues?: boolean
}

/**
 * A command that a Lua script defines.
 *
 * @example
 * client.defineCommand('double', {
 *   numberOfKeys: 1,
 *   lua: "return redis.call('INCRBY', KEYS[1], redis.call('GET', KEYS[1]))",
 * })
 * await client.set('hits', 21)
 * const { double } = client as unknown as { double(key: string): Promise<number> }
 * console.log(typeof double)
 */
export interface RedisCommandDefinition {
  lua: string
  /** How many of the arguments are keys. Without it, the first argument says so. */
  numberOfKeys?: number
}

/**
 * Commands that are kept until `exec()`. Each method adds a command, and returns the same pipeline.
 *
 * @example await client.pipeline().set('a', 1).get('a').exec() // [[null, 'OK'], [null, '1']]
 */
export interface RedisPipeline extends RedisPipelineCommands<RedisPipeline> {
  /** How many commands there are. */
  readonly length: number
  /** Any command. */
  call(command: string, ...args: (RedisArgument | RedisArgument[])[]): RedisPipeline
  /** Any command, with buffers in place of strings. */
  callBuffer(command: string, ...args: (RedisArgument | RedisArgument[])[]): RedisPipeline
  /** Sends the commands together. Resolves to the outcome of each, in order, also of those that failed. */
  exec(callback?: RedisCallback<RedisPipelineResult[]>): Promise<RedisPipelineResult[]>
}

/**
 * Commands that Redis executes together: all of them, with nothing in between, or none.
 *
 * @example
 * const outcomes = await client.multi().incr('hits').expire('hits', 60).exec()
 * console.log(outcomes) // [[null, 1], [null, 1]]
 */
export interface RedisTransaction extends RedisPipelineCommands<RedisTransaction> {
  /** How many commands there are. */
  readonly length: number
  /** Any command. */
  call(command: string, ...args: (RedisArgument | RedisArgument[])[]): RedisTransaction
  /** Any command, with buffers in place of strings. */
  callBuffer(command: string, ...args: (RedisArgument | RedisArgument[])[]): RedisTransaction
  /**
   * Sends `MULTI`, the commands and `EXEC` as one: never sent twice, and never split by a reconnection.
   * Resolves to the outcome of each command; null where Redis executed none.
   * @throws {RedisReplyError} `EXECABORT` where a command was refused before; `previousErrors` says why
   * @throws {OutcomeUnknownError} if it was sent and no answer came
   */
  exec(
    callback?: RedisCallback<RedisPipelineResult[] | null>,
  ): Promise<RedisPipelineResult[] | null>
}

/**
 * A client of one Redis server. It connects when it is first used, and reconnects for ever (after 50 ms to
 * 2 s).
 *
 * Each command of Redis is a method with the arguments and results that it has in ioredis:
 * `client.get('k')`, `client.hgetall('h')`, `client.getBuffer('k')`. A last argument that is a function is
 * a callback. The commands have a connection apart from that of managers and queues that use the client.
 *
 * A command is sent once: an error reply rejects at once, also one of the moment, such as `LOADING`. It
 * rejects with `RedisReplyError` (with Redis' own message), `RedisUnavailableError` (not sent),
 * `OutcomeUnknownError` (sent, and no answer came), `ClosedError`, or `InvalidStateError`: `WATCH`,
 * `MONITOR`, `AUTH`, `SSUBSCRIBE` and what else would change the connection is refused. One that blocks
 * (`BLPOP`) may take the time that it asks for besides, 10 minutes at most, and holds up this client's other
 * commands: give it a client of its own by `duplicate()`.
 *
 * Events: `connect`, `ready`, `close`, `reconnecting`, `error` (needs no listener), `end`; and of
 * subscriptions `message` (channel, text), `pmessage` (pattern, channel, text), `messageBuffer` and
 * `pmessageBuffer` (the same with buffers, but for the pattern). A listener for `connect` or `ready` makes
 * the client connect.
 *
 * @example
 * const client: RedisClient = createRedisClient('redis://localhost:6379')
 * client.on('error', (error) => console.log('reconnecting:', error.message))
 * await client.connect()
 * console.log(client.status, client.options.host, await client.ping())
 * await client.select(1)
 *
 * await client.set('color', 'red', 'EX', 60)
 * console.log(await client.get('color'), await client.callBuffer('GET', 'color'))
 *
 * const pubSub = client.duplicate({ commandTimeoutMs: 1000 })
 * pubSub.on('message', (channel, text) => console.log(channel, text))
 * await pubSub.subscribe('news')
 * await pubSub.psubscribe('news:*')
 * await client.publish('news', 'hello')
 * await pubSub.unsubscribe('news')
 * await pubSub.punsubscribe()
 *
 * pubSub.disconnect()
 * await client.quit()
 */
export declare class RedisClient extends EventEmitter {
  /**
   * @param server `redis://[user[:password]@]host[:port][/db]`, `rediss://…` (TLS), or
   *   `unix:///path[?db=0&user=…&pass=…]`; or settings. What is special in a URL is percent-encoded.
   *   To turn the verification of TLS off, use settings. Default: the environment's `REDIS_URL`,
   *   then `redis://localhost:6379`.
   * @throws {InvalidStateError} for a bad URL or setting; the error repeats no part of a URL
   */
  constructor(server?: string | RedisServerOptions, options?: RedisClientOptions)

  readonly status: RedisClientStatus

  /** Where the server is, and this client's options. */
  readonly options: RedisClientSettings

  /** Connects, if there is no connection yet. A first command does the same. */
  connect(callback?: RedisCallback<void>): Promise<void>

  /** Resolves to `'PONG'`: Redis answers on the connection that managers and queues use. */
  ping(callback?: RedisCallback<string>): Promise<string>
  /** Resolves to the message: Redis answers on the connection for commands. */
  ping(message: RedisArgument, callback?: RedisCallback<string>): Promise<string>

  /**
   * Any command. An argument that is no string, number or buffer is refused.
   * @throws {RedisReplyError} with Redis' own message; a script may have changed something before
   * @throws {RedisUnavailableError} if it was not sent
   * @throws {OutcomeUnknownError} if it was sent and no answer came
   * @example await client.call('INCRBY', 'hits', 5) // 5
   */
  call(command: string, ...args: (RedisArgument | RedisArgument[])[]): Promise<RedisReply>
  // biome-ignore lint/suspicious/noExplicitAny: libraries that pass a list on have types of their own
  call(...command: string[]): Promise<any>

  /** Any command, with buffers in place of strings. */
  callBuffer(
    command: string,
    ...args: (RedisArgument | RedisArgument[])[]
  ): Promise<RedisBufferReply>

  /** Commands that are sent together by `exec()`. */
  pipeline(commands?: unknown[][]): RedisPipeline

  /** Commands that `exec()` sends as a transaction. */
  multi(commands?: unknown[][]): RedisTransaction

  /**
   * Another database, from the next command on, and for managers that are made after this.
   * @throws {InvalidStateError} if a manager, a queue or a subscription uses the client: make another by
   *   `duplicate({ db })`
   * @throws {RedisUnavailableError} if the server has no such database: then no command succeeds until
   *   another one is selected
   */
  select(db: number | string, callback?: RedisCallback<'OK'>): Promise<'OK'>

  /**
   * Listens to channels, on a connection of their own, and again after each loss of it; what is published
   * meanwhile is lost. Resolves to the number of channels and patterns, once Redis has confirmed them. The
   * client may still run commands. Listeners that are 64 MB behind lose the connection.
   * @throws {RedisUnavailableError} if it is not confirmed in time; it will be later
   */
  subscribe(...channels: (string | string[] | RedisCallback<number>)[]): Promise<number>
  /** The same for all channels that match a glob pattern. */
  psubscribe(...patterns: (string | string[] | RedisCallback<number>)[]): Promise<number>
  /** Ends that for these channels, or for all. Resolves to the number of those that are left. */
  unsubscribe(...channels: (string | string[] | RedisCallback<number>)[]): Promise<number>
  /** Ends that for these patterns, or for all. */
  punsubscribe(...patterns: (string | string[] | RedisCallback<number>)[]): Promise<number>

  /**
   * Makes a method of a Lua script, for this client and its pipelines, and one with `Buffer` at the end. It
   * is sent by its digest, and whole where Redis does not know it.
   */
  defineCommand(name: string, definition: RedisCommandDefinition): void

  /** All keys, as a stream of arrays: one for each step of `SCAN`. */
  scanStream(options?: RedisScanOptions): Readable
  /** The fields of a hash and their values, in turn. */
  hscanStream(key: string | Uint8Array, options?: RedisScanOptions): Readable
  /** The members of a set. */
  sscanStream(key: string | Uint8Array, options?: RedisScanOptions): Readable
  /** The members of a sorted set and their scores, in turn. */
  zscanStream(key: string | Uint8Array, options?: RedisScanOptions): Readable

  /** Lets what is in flight end (a second at most), then disconnects for good. */
  quit(callback?: RedisCallback<'OK'>): Promise<'OK'>

  /** Disconnects for good, at once. */
  disconnect(): void

  /** Another client of the same server; what is given here replaces its settings and options. */
  duplicate(overrides?: RedisServerOptions & RedisClientOptions): RedisClient
}

export interface RedisClient extends RedisCommands {}

/** A client; see the class for its parameters. */
export declare function createRedisClient(
  server?: string | RedisServerOptions,
  options?: RedisClientOptions,
): RedisClient

/** A client for a manager's `pubSub`. */
export declare function createRedisPubSubClient(
  server?: string | RedisServerOptions,
  options?: RedisClientOptions,
): RedisClient

// ---------------------------------------------------------------------------------------------
// Errors

/**
 * The base of all errors of this module.
 *
 * @example
 * try {
 *   await manager.updateSession('game-1', state, 7)
 * } catch (error) {
 *   if (!(error instanceof StateError)) throw error
 *   console.log(error.code, error.sessionId) // CONCURRENT_MODIFICATION game-1
 * }
 */
export declare class StateError extends Error {
  /** Names the error for programs. It never changes. */
  readonly code: string
  /** The id of the session, if the error concerns one. */
  readonly sessionId: string | undefined
}

/**
 * There is no such session. Nothing changed.
 *
 * @example
 * try {
 *   await manager.updateSession('game-2', state, 1)
 * } catch (error) {
 *   if (error instanceof SessionNotFoundError) console.log(error.code, 'answer with 404')
 * }
 */
export declare class SessionNotFoundError extends StateError {
  constructor(sessionId: string)
  readonly code: 'SESSION_NOT_FOUND'
  readonly sessionId: string
}

/**
 * `createSession` was called with `ifAbsent`, and the session exists. Nothing changed.
 *
 * @example
 * try {
 *   await manager.createSession(state, { ifAbsent: true })
 * } catch (error) {
 *   if (error instanceof SessionExistsError) console.log(error.code, error.sessionId)
 * }
 */
export declare class SessionExistsError extends StateError {
  constructor(sessionId: string)
  readonly code: 'SESSION_EXISTS'
  readonly sessionId: string
}

/**
 * Another writer was first. Nothing changed. Read the session again and retry, or use `modifySession`.
 *
 * @example
 * try {
 *   await manager.updateSession('game-1', state, 7)
 * } catch (error) {
 *   if (!(error instanceof ConcurrencyError)) throw error
 *   console.log(error.code, `expected ${error.expectedVersion}, found ${error.actualVersion}`)
 * }
 */
export declare class ConcurrencyError extends StateError {
  constructor(sessionId: string, expectedVersion: number, actualVersion: number)
  readonly code: 'CONCURRENT_MODIFICATION'
  readonly sessionId: string
  readonly expectedVersion: number
  readonly actualVersion: number
}

/**
 * The value under the session's key is not a session. `createSession` replaces it.
 *
 * @example
 * await client.call('SET', 'session:broken', 'no JSON')
 * const read = manager.getSession('broken')
 * await read.catch((error: unknown) => {
 *   if (!(error instanceof StateDeserializationError)) throw error
 *   console.log(error.code, error.rawData.length)
 * })
 */
export declare class StateDeserializationError extends StateError {
  constructor(sessionId: string, rawData: string, cause?: unknown)
  readonly code: 'STATE_DESERIALIZATION_ERROR'
  readonly sessionId: string
  /** The stored value. It is not enumerable, so that a logger does not print the session's content. */
  readonly rawData: string
}

/**
 * The module refused an argument or an option before it sent anything. Nothing changed.
 *
 * @example
 * try {
 *   new RedisStateManager('https://example.com')
 * } catch (error) {
 *   if (error instanceof InvalidStateError) console.log(error.code, error.field)
 * }
 */
export declare class InvalidStateError extends StateError {
  constructor(field: string, reason: string, sessionId?: string, cause?: unknown)
  readonly code: 'INVALID_STATE'
  /** The field, argument or option that is invalid. */
  readonly field: string
}

/**
 * Redis could not be reached in time, or refused the call until its deadline (`NOREPLICAS`, `LOADING`,
 * …). Nothing changed: it is safe to retry. The message names the server, by host and port.
 *
 * @example
 * const status = (error: unknown) => {
 *   if (error instanceof ConcurrencyError) return 409
 *   // Nothing changed: the client may send the request again. Both answers get a Retry-After.
 *   if (error instanceof RedisUnavailableError) return 503
 *   // It may have been applied: the client reads the session first.
 *   if (error instanceof OutcomeUnknownError) return 503
 *   return 500
 * }
 * await manager.deleteSession('game-1').catch((error) => console.log(status(error), error.code))
 */
export declare class RedisUnavailableError extends StateError {
  constructor(reason: string, sessionId?: string)
  readonly code: 'REDIS_UNAVAILABLE' | 'OVERLOADED'
}

/**
 * The module refused the call at once: `maxInFlight` calls, or `maxInFlightBytes`, are in flight already.
 * Nothing changed. Redis may be well; this process has to do less, or to wait.
 *
 * @example
 * try {
 *   await manager.touchSession('game-1')
 * } catch (error) {
 *   if (error instanceof OverloadedError) console.log(error.code, 'too many calls at once')
 * }
 */
export declare class OverloadedError extends RedisUnavailableError {
  constructor(reason: string, sessionId?: string)
  readonly code: 'OVERLOADED'
}

/**
 * The call was sent, and no answer tells whether it was applied. Read the session before you retry.
 *
 * @example
 * try {
 *   await manager.createSession(state)
 * } catch (error) {
 *   if (!(error instanceof OutcomeUnknownError)) throw error
 *   console.log(error.code, (await manager.getSession('game-1'))?.updated_at)
 * }
 */
export declare class OutcomeUnknownError extends StateError {
  constructor(reason: string, sessionId?: string)
  readonly code: 'OUTCOME_UNKNOWN'
}

/**
 * Redis refused the command; the message is Redis' own. Nothing changed, except what a script had done
 * before its error.
 *
 * @example
 * try {
 *   await client.call('INCR', 'session:game-1', 'too many')
 * } catch (error) {
 *   if (error instanceof RedisReplyError) console.log(error.code, error.message)
 * }
 */
export declare class RedisReplyError extends StateError {
  constructor(message: string, sessionId?: string)
  readonly code: 'REDIS_REPLY'
}

/**
 * The queue holds `maxBacklog` records. The record was not queued.
 *
 * @example
 * try {
 *   await queue.queueWrite('game-1', state, 'cycle_switched')
 * } catch (error) {
 *   if (error instanceof BacklogFullError) console.log(error.code, error.maxBacklog)
 * }
 */
export declare class BacklogFullError extends StateError {
  constructor(maxBacklog: number, sessionId?: string)
  readonly code: 'BACKLOG_FULL'
  readonly maxBacklog: number
}

/**
 * PostgreSQL refused a statement, or could not be reached.
 *
 * @example
 * await queue.migrate().catch((error: unknown) => {
 *   if (error instanceof DatabaseError) console.log(error.code, error.sqlstate ?? 'not reached')
 * })
 */
export declare class DatabaseError extends StateError {
  constructor(reason: string, sqlstate?: string | null)
  readonly code: 'DATABASE_ERROR'
  /** PostgreSQL's code, such as `'42501'`. Null if PostgreSQL did not answer. */
  readonly sqlstate: string | null
}

/**
 * The manager, queue or client is closed. Nothing changed.
 *
 * @example
 * await manager.close()
 * await manager.getSession('game-1').catch((error: unknown) => {
 *   if (error instanceof ClosedError) console.log(error.code)
 * })
 */
export declare class ClosedError extends StateError {
  constructor(sessionId?: string)
  readonly code: 'CLOSED'
}
