/// <reference types="node" />
import type { Logger } from '../config/logger.js'
import type { RedisSource } from '../config/redis.js'
import type { StateDeserializationError } from '../errors/StateErrors.js'
import type { DefaultState, ModifiedState, SessionFields, WritableState } from '../types/session.js'
import type { DBWriteQueue } from './DBWriteQueue.js'

export type { Logger } from '../config/logger.js'

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
