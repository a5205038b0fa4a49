/// <reference types="node" />
import type { Logger } from '../config/logger.js'
import type { RedisSource } from '../config/redis.js'
import type { ReplicaOptions } from '../config/replicas.js'
import type { StateDeserializationError } from '../errors/StateErrors.js'
import type { DefaultState, ModifiedState, SessionFields, WritableState } from '../types/session.js'
import type { DBWriteQueue } from './DBWriteQueue.js'
import type { Health } from './health.js'
import type { ManagerMetrics } from './metrics.js'

export type { Logger } from '../config/logger.js'
export type { ReplicaOptions } from '../config/replicas.js'
export type { Health } from './health.js'
export type { CallDuration, CallMetrics, ManagerMetrics } from './metrics.js'

/**
 * The options of a manager. The constructor throws `InvalidStateError` for an unknown option.
 *
 * @example
 * const manager = new RedisStateManager('redis://localhost:6379', null, null, {
 *   keyPrefix: 'app:session:',
 *   ttlSeconds: 7200,
 *   announceExpiry: true,
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
 *   replicas: { count: 1, timeoutMs: 500 },
 * })
 * await manager.close()
 */
export interface RedisStateManagerOptions {
  /**
   * The text before the session id in each key of a session. The key prefix of an ioredis or node-redis
   * instance comes before this one. Default `'session:'`.
   */
  keyPrefix?: string
  /**
   * The TTL of a session, in seconds: Redis deletes a session so long after its last write or touch.
   * Default 3600.
   */
  ttlSeconds?: number
  /**
   * Whether managers tell when the TTL of a session runs out. Within 5 s subscribers receive null, as for
   * a deletion, and the audit receives a `session_expired` event without a snapshot, once for all
   * instances. In `sync_sessions` the `final_status` becomes `expired`, unless it is `completed` or
   * `cancelled`. Set it on all instances: each write notes its session in a sorted set, and every
   * instance with the option looks there every 1 to 2 s. Default false: sessions expire silently.
   */
  announceExpiry?: boolean
  /** The time in which each call settles, in milliseconds, at most 600000. Default 5000. */
  commandTimeoutMs?: number
  /** How many calls may be in flight. One more rejects at once with `OverloadedError`. Default 10000. */
  maxInFlight?: number
  /**
   * How much JSON text all calls in flight may send together, in characters. A call beyond this limit
   * rejects at once with `OverloadedError`, unless no other call is in flight. Default 268435456 (256 Mi).
   */
  maxInFlightBytes?: number
  /**
   * How many bytes of updates and messages may wait for the callbacks of all managers of this thread.
   * Beyond this limit the manager closes the connection of its subscriptions. It subscribes again, and
   * catches up, when the callbacks have received half of what waits. Default 67108864 (64 MiB).
   */
  maxFeedBytes?: number
  /** The largest state, in bytes of its JSON text, at most 512 MiB. Default 1048576 (1 MiB). */
  maxStateBytes?: number
  /**
   * The channel on which managers tell each other of updates and deletions. Managers with different key
   * prefixes may share a channel, because each message names its key prefix. Default `'session-updates'`.
   */
  updatesChannel?: string
  /**
   * Whether the callbacks of `subscribeToUpdates` also receive the messages of other key prefixes. The
   * callbacks then receive the key prefix as a third argument: null for a message of an old instance,
   * which names none. Default false.
   */
  allPrefixes?: boolean
  /**
   * The text before the session id in each WebSocket channel, not empty. The channel does not contain the
   * key prefix: managers with the same `wsChannelPrefix` receive each other's messages about sessions
   * with the same id. Default `'ws:'`.
   */
  wsChannelPrefix?: string
  /**
   * What the manager checks before it writes a state. `InvalidStateError` names the path of a wrong value,
   * such as `participants[0].total_time_ms`.
   *
   * - `true`: the manager refuses values that JSON would change silently: `NaN` and infinities, invalid
   *   dates and dates outside the years 0 to 9999, and objects with content outside their properties
   *   (`Map`, `Set`, `Promise`, `RegExp`, typed arrays, …). JSON leaves out members that are undefined or
   *   functions. An object with a `toJSON()` method is written as that method says.
   * - `'strict'`: the manager also checks the types of the known fields that are present. A date may be
   *   text.
   * - `false`: the manager checks only the required fields: `session_id`, `sync_mode`, `status`,
   *   `participants` and `version`.
   *
   * Default true.
   */
  validate?: boolean | 'strict'
  /**
   * Receives problems that no call can report (lost connections, gaps in the updates, failing callbacks),
   * and the end of outages. Default: the manager warns the process (see `Logger`).
   */
  logger?: Logger
  /** A cache that answers `getSession`, and the reads of `modifySession`. Default: no cache. */
  cache?: SessionCacheOptions
  /**
   * How many replicas of Redis must have a write (create, update, delete, touch, and its audit record)
   * before it is acknowledged. Default: none.
   */
  replicas?: ReplicaOptions
}

/**
 * A cache of sessions in the memory of this process. Redis tells the manager of each change of a cached
 * session (`CLIENT TRACKING`).
 *
 * - The manager sees its own writes at once.
 * - The manager sees the writes of others within one round trip, whatever command they use.
 * - An answer from the cache is at most 4 s out of date, even if the connection dies or the process stops
 *   for a while. The manager empties the cache when it loses the connection.
 * - The cache returns an expired session for at most `ttlSeconds` after its `updated_at`, by the clock of
 *   this machine. Redis usually reports the expiry earlier.
 * - An update with an outdated version fails with `ConcurrencyError`, as without a cache.
 *
 * Each answer is a new object. Each manager has its own cache. The cache does not hold corrupt values,
 * missing sessions, states that are nested more than 100 levels deep, or states whose last update is more
 * than `ttlSeconds` ago.
 *
 * If Redis refuses `CLIENT TRACKING` or `HELLO`, the manager works without a cache and warns the logger
 * once. With `memory:` the option has no effect: the sessions are in the memory of this process already.
 *
 * @example
 * const cache = { maxSessions: 50_000 }
 * const manager = new RedisStateManager('redis://localhost:6379', null, null, { cache })
 * await manager.close()
 */
export interface SessionCacheOptions {
  /**
   * How many sessions the cache holds, from 1 to 10000000. A full cache drops the session whose last read
   * is the oldest. A session with two participants takes about 1 KB. Default 10000.
   */
  maxSessions?: number
}

/**
 * Who makes a change of a session, and why. The audit keeps it with the record of the change; without an
 * audit, these options do nothing. The options are for one call.
 *
 * @example
 * const change: ChangeOptions = { event: 'move_made', actor: 'alice', metadata: { move: 'e2e4' } }
 * await manager.updateSession('game-1', state, 1, change)
 */
export interface ChangeOptions {
  /**
   * What `sync_events.event_type` says, 1 to 50 characters. A service's own queue receives it as its third
   * argument. Default: `'session_created'`, `'session_updated'` or `'session_deleted'`.
   */
  event?: string
  /** Who makes the change, such as the id of a user. The member `actor` of `sync_events.metadata`. */
  actor?: string
  /** Further members of `sync_events.metadata`, at most 65536 characters as JSON. */
  metadata?: Readonly<Record<string, unknown>>
}

/**
 * How many sessions `restoreSessions` has found, and what has become of them.
 *
 * @example
 * const manager = new RedisStateManager('redis://localhost:6379', null, queue)
 * const since = new Date(Date.now() - 3_600_000)
 * const counts: RestoreCounts = await manager.restoreSessions({ since, dryRun: true })
 * const { found, restored, newer, ended, failed } = counts
 * console.log(`${restored} of ${found} sessions would be restored`)
 * console.log(newer, 'are in Redis', ended, 'have ended', failed, 'cannot be restored')
 * await manager.close()
 */
export interface RestoreCounts {
  /** The sessions with a record since then. The sum of the others. */
  found: number
  /** The sessions that were restored. In a dry run: that would be. */
  restored: number
  /** The sessions of which Redis has the newest state, or a newer one. */
  newer: number
  /** The sessions that were deleted, have expired, or have a final status. */
  ended: number
  /**
   * The sessions that cannot be restored: the audit has no state, the state is invalid or larger than
   * `maxStateBytes`, or what Redis has is no session. The manager tells the logger of the first two.
   */
  failed: number
}

/**
 * The options of `restoreSessions`.
 *
 * @example
 * const options: RestoreOptions = {
 *   since: new Date(Date.now() - 3_600_000),
 *   dryRun: false,
 *   onProgress: ({ found, restored }) => console.log(`${restored} of ${found}`),
 *   actor: 'on-call',
 *   metadata: { incident: 4711 },
 * }
 * const manager = new RedisStateManager('redis://localhost:6379', null, queue)
 * await manager.restoreSessions(options)
 * await manager.close()
 */
export interface RestoreOptions extends Pick<ChangeOptions, 'actor' | 'metadata'> {
  /**
   * Only sessions with a record since then. Sessions that would have expired anyway have none since the
   * loss of the data less `ttlSeconds`.
   */
  since: Date
  /** Whether only to count. Default false. */
  dryRun?: boolean
  /**
   * Receives the counts so far, at least once for each 100 sessions. If it throws, the call ends, and
   * rejects with this error.
   */
  onProgress?: (counts: RestoreCounts) => void
}

/**
 * A service's own queue for the audit, in place of a `DBWriteQueue`. The manager calls `queueWrite` after
 * each create and update, and does not await it. If `queueWrite` fails, the manager tells the logger.
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
 * Reads and writes sessions that many service instances share through one Redis, or that one process keeps
 * in its memory (`memory:`). A manager has its own connections. Close a manager when the service no longer
 * needs it.
 *
 * Every promise settles within `commandTimeoutMs`, with one of four outcomes:
 *
 * - Redis has applied the call: the promise resolves.
 * - Redis or the module refused the call (`SessionNotFoundError`, `ConcurrencyError`, …). Nothing changed.
 * - The module did not send the call, or Redis refused it until the deadline (`RedisUnavailableError`,
 *   `ClosedError`). Nothing changed.
 * - The module sent the call, and no answer came (`OutcomeUnknownError`). Redis may have applied it.
 *
 * Calls about one session keep their order, with or without `await`. Redis executes writes and broadcasts
 * in the order of the calls. A read sees all earlier writes, except those that Redis refuses for now.
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
   * @param redis the Redis server of the sessions: a URL, settings, a client of this module, or an
   *   instance of ioredis 5 or 6 or of node-redis 4 to 6. The manager only reads the settings of an
   *   instance, and makes its own connections. `'memory:'` is a store in this process, see `RedisSource`.
   * @param pubSub the server for the connection of the subscriptions. Default: the server of `redis`.
   * @param dbQueue the queue for the audit. With a `DBWriteQueue` on the same Redis or `memory:` store, one
   *   operation makes the change and appends the record, so no crash can separate them. Default: no audit.
   * @param keyPrefix the key prefix, or all options
   * @throws {InvalidStateError} if a URL or an option is invalid
   */
  constructor(
    redis: RedisSource,
    pubSub?: RedisSource | null,
    dbQueue?: DBWriteQueue | null,
    keyPrefix?: string | RedisStateManagerOptions,
  )
  /** Takes a service's own queue. The state of the queue is the state of the manager. */
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
   * Reads the state of a session. Resolves to null if the session does not exist. The five known date
   * fields become a `Date` from any text that `new Date()` can read. In other fields, only text in the
   * format of `toISOString()` becomes a `Date`.
   * @throws {StateDeserializationError} if the stored value is not a session
   */
  getSession<T extends S = S>(sessionId: string): Promise<T | null>

  getSessions(sessionIds: never): Promise<unknown>
  /**
   * Reads several sessions. The states have the order of the ids, with null for each session that does not
   * exist. The call takes one round trip, or two if a session does not exist.
   * @param sessionIds at most `maxInFlight` ids
   * @param options.onCorrupt receives the error for each stored value that is not a session. The result
   *   has null in its place. Default: the call rejects with the first such error.
   * @throws {StateDeserializationError} if a stored value is not a session, without `onCorrupt`
   */
  getSessions<T extends S = S>(
    sessionIds: readonly string[],
    options?: { onCorrupt?: (error: StateDeserializationError) => void },
  ): Promise<(T | null)[]>

  createSession(state: never): Promise<unknown>
  /**
   * Creates a session, or replaces an existing session. Sets `version` to 1, sets `created_at` and
   * `updated_at` to the current time, starts the TTL, and tells all instances.
   * @param options.ifAbsent whether to keep an existing session. Default false.
   * @param options.event see `ChangeOptions`, as `actor` and `metadata`
   * @throws {SessionExistsError} if `ifAbsent` is true and the session exists
   * @throws {InvalidStateError} if the state is invalid or larger than `maxStateBytes`
   * @example await manager.createSession({ ...state, session_id: 'game-2' }, { ifAbsent: true })
   */
  createSession<T extends S = S>(
    state: WritableState<NoInfer<T>>,
    options?: { ifAbsent?: boolean } & ChangeOptions,
  ): Promise<void>

  updateSession(sessionId: never, state: never): Promise<unknown>
  /**
   * Replaces the state of a session. Adds 1 to the stored version, sets `updated_at` to the current
   * time, renews the TTL, and tells all instances.
   * @param expectedVersion the version that must be stored. Of all concurrent writers with the same
   *   expected version, at most one succeeds. `undefined` disables the version check (beware of
   *   `cached?.version`): the last writer's state stays, and if the session does not exist, the call
   *   creates it with the version of `state` plus 1. Default: no check.
   * @throws {ConcurrencyError} if the stored version is not the expected version
   * @throws {SessionNotFoundError} if the session does not exist and `expectedVersion` is given
   * @throws {StateDeserializationError} if the stored value is not a session
   * @throws {InvalidStateError} if the state is invalid or larger than `maxStateBytes`
   * @example await manager.updateSession('game-1', { ...state, status: SyncStatus.PAUSED }, 1)
   */
  updateSession<T extends S = S>(
    sessionId: string,
    state: WritableState<NoInfer<T>>,
    expectedVersion?: number,
    options?: ChangeOptions,
  ): Promise<void>

  modifySession(sessionId: never, fn: never): Promise<unknown>
  /**
   * Reads a session, calls `fn` with the state, and writes the result of `fn`, expecting the version that
   * it read. After a conflict the manager reads the session and calls `fn` again, until
   * `commandTimeoutMs` have passed since the call.
   *
   * - `fn` may run several times. If `fn` returns `undefined`, the manager writes nothing.
   * - Calls of one manager for one session run one after the other, in the order of the calls. If a
   *   callback runs for longer than a second, or than a fifth of `commandTimeoutMs`, the other calls
   *   no longer wait for it, and the manager tells the logger.
   * - The time of `fn` counts, but the manager never interrupts `fn`. A result that comes after the
   *   deadline is still written if no other writer has changed the session.
   * @param options.retries how often to try again after a conflict. Default: no limit but the deadline.
   * @param options.event see `ChangeOptions`, as `actor` and `metadata`
   * @returns the written state. If `fn` returned `undefined`: the state that the manager read.
   * @throws {ConcurrencyError} after the last retry, or at the deadline
   * @throws {SessionNotFoundError} if the session does not exist
   * @throws {StateDeserializationError} if the stored value is not a session
   * @throws {InvalidStateError} if the result of `fn` is invalid or larger than `maxStateBytes`
   */
  modifySession<T extends S = S>(
    sessionId: string,
    fn: (state: T) => ModifiedState<NoInfer<T>> | Promise<ModifiedState<NoInfer<T>>>,
    options?: { retries?: number } & ChangeOptions,
  ): Promise<T>

  /** Deletes a session and tells all instances, also if the session does not exist. */
  deleteSession(sessionId: string, options?: ChangeOptions): Promise<void>

  restoreSession(sessionId: never): Promise<unknown>
  /**
   * Writes a state from the audit's database back: the newest that the audit has, or that of a version,
   * over whatever is stored. Requires a `DBWriteQueue` with a database.
   *
   * - The state gets a new version, above every version that Redis and the audit know of the session. So
   *   a writer with an older `expectedVersion` gets `ConcurrencyError`.
   * - `created_at` stays, `updated_at` is the current time, and the TTL starts again. All instances are told.
   * - The audit records it as `session_restored`; the metadata has the restored version as `from`.
   * - Records that wait in Redis are not in the database yet: await `queue.drained()` first.
   * @param options.version a version of the session, of its newest life. Default: the newest.
   * @param options.actor see `ChangeOptions`, as `metadata`
   * @returns the written state
   * @throws {SessionNotFoundError} if the audit has no state of the session
   * @throws {InvalidStateError} if the audit does not have the version, if the state is larger than
   *   `maxStateBytes`, or if the manager has no `DBWriteQueue` with a database
   * @throws {DatabaseError} if the database refuses a query, or if the queue cannot use it. Within 15 s for
   *   each of two queries, and as long as it takes to connect.
   * @example
   * const manager = new RedisStateManager('redis://localhost:6379', null, queue)
   * await manager.createSession(state)
   * await queue.drained()
   * await manager.deleteSession('game-1') // by mistake
   * const restored = await manager.restoreSession('game-1', { actor: 'on-call' })
   * console.log(restored.version) // 2
   * await manager.close()
   */
  restoreSession<T extends S = S>(
    sessionId: string,
    options?: { version?: number } & Pick<ChangeOptions, 'actor' | 'metadata'>,
  ): Promise<T>

  /**
   * Restores sessions after Redis has lost data: all with a record in the audit's database since a time, as
   * `restoreSession` does. Restores no session that was deleted, has expired, or has the status
   * `completed`, `cancelled` or `expired`; and none of which Redis has the newest state of the audit or
   * a newer one, also if it is written meanwhile. The call has no time limit.
   *
   * The audit does not know key prefixes: the call restores each session under the prefix of this manager.
   *
   * If Redis or the database is away, the call rejects. Call it again then: it goes on where it ended,
   * since what was restored counts as `newer`.
   * @throws {DatabaseError} if the database refuses a query, or if the queue cannot use it
   * @throws {RedisUnavailableError} if Redis cannot be used; other errors of a write as well
   * @throws {InvalidStateError} if an option is invalid, or if the manager has no `DBWriteQueue` with a
   *   database
   * @example
   * const manager = new RedisStateManager('redis://localhost:6379', null, queue)
   * const since = new Date(Date.now() - 3_600_000)
   * console.log(await manager.restoreSessions({ since, dryRun: true }))
   * const onProgress = (counts: RestoreCounts) => console.log(counts)
   * console.log(await manager.restoreSessions({ since, onProgress, actor: 'on-call' }))
   * await manager.close()
   */
  restoreSessions(options: RestoreOptions): Promise<RestoreCounts>

  /** Renews the TTL of a session. Resolves to false if the session does not exist. */
  touchSession(sessionId: string): Promise<boolean>

  subscribeToUpdates(callback: never): () => void
  /**
   * Calls `callback` with the state after every update, and with null after every deletion, of all
   * instances including this one, in order. The manager passes on only sessions of its own key prefix,
   * unless `allPrefixes` is true. After a lost connection it also calls `callback` for each session of its
   * own key prefix that has changed meanwhile, among the 10000 sessions, at most, that it has heard of. The
   * subscription keeps the process alive.
   * @returns a function that unsubscribes this callback
   */
  subscribeToUpdates<T extends S = S>(
    callback: (sessionId: string, state: T | null, keyPrefix?: string | null) => void,
  ): () => void

  /**
   * Calls `callback` with every message that an instance, including this one, sends with
   * `broadcastToSession`. The manager misses messages while its connection is lost. The subscription
   * keeps the process alive.
   * @returns a function that unsubscribes this callback
   */
  // biome-ignore lint/suspicious/noExplicitAny: a message is whatever its sender sent
  subscribeToWebSocket(callback: (sessionId: string, message: any) => void): () => void

  /**
   * Resolves once Redis has confirmed all subscriptions made so far. The manager subscribes, and
   * subscribes again after a lost connection, whether or not the service calls this method.
   * @throws {RedisUnavailableError} if Redis does not confirm them within `commandTimeoutMs`
   */
  subscribed(): Promise<void>

  /**
   * Sends a message, as JSON, to the callbacks of `subscribeToWebSocket` on all instances. The message
   * arrives at most once.
   * @throws {InvalidStateError} if the message cannot be written as JSON
   */
  broadcastToSession(sessionId: string, message: unknown): Promise<void>

  /**
   * What this manager has counted since it was made. Takes a few microseconds and asks no server.
   * @example
   * const { calls, conflicts } = manager.metrics()
   * console.log(calls['updateSession'], conflicts)
   */
  metrics(): ManagerMetrics

  /**
   * Whether this manager can do its work, for a readiness probe. Asks Redis once, and resolves within about a
   * second. Never rejects. Not ready: a closed manager; Redis that does not answer within 1 s, or a node of a
   * cluster that cannot be reached; a subscription that Redis has not confirmed; callbacks that are 25000
   * messages or half of `maxFeedBytes` behind. A manager without callbacks needs no subscription.
   * @example
   * const { ready, reasons } = await manager.health()
   * if (!ready) console.error(reasons.join('; '))
   */
  health(): Promise<Health>

  /**
   * Closes the clients of this manager, also the clients and instances that the service passed in. Calls
   * in flight get one second to end, and every call settles within two seconds. Later calls reject with
   * `ClosedError`. A second call of `close` returns the same promise.
   *
   * A client that other managers or queues share stays open until the last of them is closed. Their calls
   * in flight settle by their own deadlines. Managers, queues and clients may be closed in any order.
   */
  close(): Promise<void>

  /**
   * Does the same as `close()`.
   * @example
   * await using manager = new RedisStateManager('redis://localhost:6379')
   * console.log(await manager.getSession('game-1'))
   */
  [Symbol.asyncDispose](): Promise<void>
}
