/// <reference types="node" />
import type { RedisClient } from '../config/redis.js'
import type { DBWriteQueue, DBWriteQueueOptions } from '../state/DBWriteQueue.js'
import type {
  RedisStateManager,
  RedisStateManagerOptions,
  WriteQueue,
} from '../state/RedisStateManager.js'
import type { DefaultState, SessionFields } from '../types/session.js'

/**
 * The options of a manager on a test store: those of a `RedisStateManager`, and its queue.
 *
 * @example
 * const store = createTestStore()
 * const manager = store.manager({ queue: store.queue(), ttlSeconds: 60 })
 * await manager.createSession(state)
 * console.log(store.records().length) // 1
 * await store.close()
 */
export interface TestManagerOptions<S extends SessionFields = DefaultState>
  extends RedisStateManagerOptions {
  /** The queue for the audit: one of the store's, or a service's own. Default: no audit. */
  queue?: WriteQueue<S> | null
}

/**
 * A record of the audit, as the store has it.
 *
 * @example
 * const store = createTestStore()
 * const queue = store.queue({ worker: false })
 * await queue.queueWrite('game-1', state, 'cycle_switched')
 * const [record]: TestRecord[] = store.records()
 * console.log(record?.id, record?.at) // a UUID, a Date
 * console.log(record?.sessionId, record?.eventType, record?.status) // game-1 cycle_switched waiting
 * console.log(record?.state?.created_at instanceof Date) // true
 * await store.close()
 */
export interface TestRecord<S extends SessionFields = DefaultState> {
  /** A UUID (version 7): the primary key of the row in `sync_events`. */
  id: string
  sessionId: string
  eventType: string
  /** The state, with its dates. Null for a deletion. */
  state: S | null
  /** When the record was queued, by the store's clock. */
  at: Date
  /**
   * - `waiting`: the database does not have the record yet.
   * - `stored`: the database has it.
   * - `failed`: it is a dead letter.
   */
  status: 'waiting' | 'stored' | 'failed'
}

/**
 * The clock of a test store. It runs like the real one, and a test can set it ahead.
 *
 * @example
 * const store = createTestStore()
 * const clock: TestClock = store.clock
 * const before = clock.now()
 * clock.advance(60_000)
 * console.log(clock.now() - before >= 60_000) // true
 * await store.close()
 */
export interface TestClock {
  /**
   * Sets the clock ahead. What is due by then is done before any later call: sessions expire, waiting calls
   * reach their deadlines, outages end, records are tried again.
   * @param ms milliseconds, an integer from 0 to 2147483647
   */
  advance(ms: number): void
  /**
   * The time of dates, in milliseconds since 1970: `Date.now()`, plus what the clock was set ahead. Fake timers
   * that replace `Date` change it; whatever else goes by this clock follows the real time and `advance()`.
   */
  now(): number
}

/**
 * A store for the unit tests of a service, in the memory of this process. Managers and queues on it behave
 * as on a Redis server, and a test decides what goes wrong and what time it is. It works in Jest, Vitest and
 * `node:test`, with real and with faked timers.
 *
 * A fault that was not used up stays. Make a store for each test, and close it: while a store with a queue or a
 * subscription is open, the process of the test does not end.
 *
 * @example
 * const store: TestStore = createTestStore()
 * const manager = store.manager()
 * await manager.createSession(state)
 *
 * // The manager retries: another writer is first once.
 * store.conflict('game-1')
 * await manager.modifySession('game-1', (s) => ({ ...s, status: SyncStatus.RUNNING }))
 * console.log((await manager.getSession('game-1'))?.version) // 3
 *
 * // An hour later the session has expired.
 * store.clock.advance(3_600_000)
 * console.log(await manager.getSession('game-1')) // null
 * await store.close()
 */
export interface TestStore extends AsyncDisposable {
  /**
   * The URL of the store, such as `memory://test-4b5c…`: for a service that makes its clients, managers and
   * queues itself. The store exists until it is closed, and so are they.
   * @example
   * const store = createTestStore()
   * const manager = new RedisStateManager(store.url)
   * await manager.createSession(state)
   * console.log(store.sessions().length) // 1
   * await manager.close()
   * await store.close()
   */
  readonly url: string

  /** The clock of sessions, dates, deadlines and retries. */
  readonly clock: TestClock

  /**
   * Makes a client of the store, for a service that takes a client. The client runs no Redis commands: see
   * `RedisClient`.
   * @throws {ClosedError} if the store is closed
   * @example
   * const store = createTestStore()
   * const manager = new RedisStateManager(store.client(), store.client())
   * console.log(await manager.getSession('game-1')) // null
   * await manager.close() // closes its clients, too
   * await store.close()
   */
  client(): RedisClient

  /**
   * Makes a manager on the store. Several managers of one store are like several instances of a service.
   * @throws {InvalidStateError} if an option is invalid
   * @throws {ClosedError} if the store is closed
   * @example
   * const store = createTestStore()
   * const [first, second] = [store.manager(), store.manager()]
   * await first.createSession(state)
   * console.log((await second.getSession('game-1'))?.version) // 1
   * await store.close()
   */
  manager<S extends SessionFields = DefaultState>(
    options?: TestManagerOptions<S>,
  ): RedisStateManager<S>

  /**
   * Makes a queue on the store. Without a `databaseUrl` it stores its records in a SQLite database in
   * memory, which is its own and ends with it.
   * @param options those of a `DBWriteQueue`. Default: `{ databaseUrl: 'sqlite::memory:', migrate: true }`.
   * @throws {InvalidStateError} if an option is invalid
   * @throws {ClosedError} if the store is closed
   * @example
   * const store = createTestStore()
   * const queue = store.queue()
   * const manager = store.manager({ queue })
   * await manager.createSession(state)
   * await manager.deleteSession('game-1')
   * console.log(store.records().map((record) => record.eventType)) // session_created, session_deleted
   * await queue.drained()
   * console.log(store.records().every((record) => record.status === 'stored')) // true
   * await store.close()
   */
  queue(options?: DBWriteQueueOptions): DBWriteQueue

  /**
   * Begins an outage, as if Redis were away. Calls wait, and end with `RedisUnavailableError` at their
   * deadline (`commandTimeoutMs`, by the store's clock). Those that still wait at its end are executed, in
   * the order of the calls. Subscriptions are interrupted; after its end they catch up. A logger and
   * listeners for `error` are told as of a Redis; the process is not warned.
   * @param ms how long the outage lasts, in milliseconds by the store's clock, from 1 to 2147483647. Default:
   *   until it is ended.
   * @returns a function that ends the outage
   * @example
   * const store = createTestStore()
   * const manager = store.manager({ commandTimeoutMs: 5000 })
   * const end = store.outage()
   * const reading = manager.getSession('game-1').catch((error: unknown) => error)
   * store.clock.advance(5000)
   * console.log((await reading) instanceof RedisUnavailableError) // true
   * end()
   * console.log(await manager.getSession('game-1')) // null
   * await store.close()
   */
  outage(ms?: number): () => void

  /**
   * Loses the answers to the next calls that change something: the change is made, and the caller gets
   * `OutcomeUnknownError` at once.
   * @param times the number of calls. Default 1.
   * @example
   * const store = createTestStore()
   * const manager = store.manager()
   * store.loseAnswers(1)
   * await manager.createSession(state).catch((error: unknown) => {
   *   console.log(error instanceof OutcomeUnknownError) // true
   * })
   * console.log((await manager.getSession('game-1'))?.version) // 1
   * await store.close()
   */
  loseAnswers(times?: number): void

  /**
   * Delays the answer to each later call.
   * @param ms milliseconds by the store's clock, from 0 (no delay) to 2147483647
   * @example
   * const store = createTestStore()
   * const manager = store.manager()
   * store.delay(200)
   * const reading = manager.getSession('game-1')
   * store.clock.advance(200)
   * console.log(await reading) // null
   * await store.close()
   */
  delay(ms: number): void

  /**
   * Interrupts all subscriptions. They miss what is published meanwhile, as when a connection is lost.
   * Then they catch up: callbacks get the sessions of theirs that have changed, not those that are new, and
   * no messages of that time. Of gaps that overlap, the last one ends it.
   * @param during what happens meanwhile. Default: nothing.
   * @returns a promise that resolves when the callbacks have caught up, and then rejects if `during` did
   * @example
   * const store = createTestStore()
   * const manager = store.manager()
   * const heard: unknown[] = []
   * manager.subscribeToUpdates((_id, session) => heard.push(session?.version))
   * await manager.subscribed()
   * await manager.createSession(state)
   * await store.gap(async () => {
   *   await manager.updateSession('game-1', state, 1)
   *   await manager.updateSession('game-1', state, 2)
   * })
   * console.log(heard) // [ 1, 3 ]
   * await store.close()
   */
  gap(during?: () => unknown): Promise<void>

  /**
   * Lets another writer be first, once, at the next update of the session that expects a version: the update
   * rejects with `ConcurrencyError`, and `modifySession` tries again. The other writer stores the same
   * state with the next version.
   * @example
   * const store = createTestStore()
   * const manager = store.manager()
   * await manager.createSession(state)
   * store.conflict('game-1')
   * await manager.updateSession('game-1', state, 1).catch((error: unknown) => {
   *   if (error instanceof ConcurrencyError) console.log(error.actualVersion) // 2
   * })
   * await store.close()
   */
  conflict(sessionId: string): void

  /**
   * Refuses the next calls with `RedisReplyError`, as Redis does when its memory is full or the user has not
   * the right. Nothing changes.
   * @param error the message of the error, or an error that has it
   * @param times the number of calls. Default 1.
   * @example
   * const store = createTestStore()
   * const manager = store.manager()
   * store.refuse("OOM command not allowed when used memory > 'maxmemory'.")
   * await manager.createSession(state).catch((error: unknown) => {
   *   if (error instanceof RedisReplyError) console.log(error.message) // OOM command not allowed …
   * })
   * await store.close()
   */
  refuse(error: string | Error, times?: number): void

  /** All records of all queues, in order, also those that the database has already. */
  records<S extends SessionFields = DefaultState>(): TestRecord<S>[]

  /**
   * The states of all sessions that are stored and have not expired, with their dates, in the order of
   * their ids.
   * @example
   * const store = createTestStore()
   * await store.manager().createSession(state)
   * console.log(store.sessions().map((session) => session.session_id)) // [ 'game-1' ]
   * await store.close()
   */
  sessions<S extends SessionFields = DefaultState>(): S[]

  /**
   * Resolves when all updates and messages so far have reached the callbacks of this thread's managers. A
   * write does not wait for its callbacks.
   *
   * To wait until the database has the records, use `queue.drained()`.
   * @throws {ClosedError} if the store is closed
   * @example
   * const store = createTestStore()
   * const manager = store.manager()
   * const heard: string[] = []
   * manager.subscribeToUpdates((sessionId) => heard.push(sessionId))
   * await manager.subscribed()
   * await manager.createSession(state)
   * await store.settled()
   * console.log(heard) // [ 'game-1' ]
   * await store.close()
   */
  settled(): Promise<void>

  /**
   * Closes the clients, managers and queues that the store has made, and the store. A second call returns
   * the same promise. After it every call throws `ClosedError`, also `records()` and `sessions()`: look
   * at them before.
   */
  close(): Promise<void>

  /**
   * Does the same as `close()`.
   * @example
   * await using store = createTestStore()
   * await store.manager().createSession(state)
   */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Makes a store of its own for a test.
 *
 * @example
 * const store = createTestStore()
 * const manager = store.manager()
 * await manager.createSession(state)
 * console.log(store.sessions().length) // 1
 * await store.close()
 */
export declare function createTestStore(): TestStore
