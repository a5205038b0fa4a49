/// <reference types="node" />
import { EventEmitter } from 'node:events'
import type { Logger } from '../config/logger.js'
import type { RedisSource } from '../config/redis.js'
import type { ReplicaOptions } from '../config/replicas.js'
import type { DatabaseError, StateError } from '../errors/StateErrors.js'
import type { DefaultState, SessionFields } from '../types/session.js'
import type { Health } from './health.js'
import type { QueueMetrics } from './metrics.js'

export type { Logger } from '../config/logger.js'
export type { ReplicaOptions } from '../config/replicas.js'
export type { Health } from './health.js'
export type { QueueMetrics, WorkerMetrics } from './metrics.js'

/**
 * The options of TLS to PostgreSQL. Certificates and keys are in PEM. The constructor throws
 * `InvalidStateError` for an unknown option.
 *
 * @example
 * const trusting = (ca: string): DatabaseTlsOptions => ({ ca, servername: 'db.internal' })
 * const withCertificate = (cert: string, key: string): DatabaseTlsOptions => ({ cert, key })
 * console.log(typeof trusting, typeof withCertificate)
 * const ssl: DatabaseTlsOptions = { rejectUnauthorized: false }
 * const queue = new DBWriteQueue('redis://localhost:6379', { ssl, worker: false })
 * await queue.close()
 */
export interface DatabaseTlsOptions {
  /** Whether to verify the server's certificate and its name. Default true. */
  rejectUnauthorized?: boolean
  /**
   * The certificates to trust, and no others: authorities, or the servers' own certificates. Default:
   * `sslrootcert` of the URL, then `PGSSLROOTCERT`, then the authorities of the system and of Node.js, with
   * `NODE_EXTRA_CA_CERTS`.
   */
  ca?: string | Uint8Array | readonly (string | Uint8Array)[]
  /** The certificate of this client. Requires `key`. Default: `sslcert` of the URL, then `PGSSLCERT`. */
  cert?: string | Uint8Array
  /** The private key of `cert`. Default: `sslkey` of the URL, then `PGSSLKEY`. */
  key?: string | Uint8Array
  /** The name that the server's certificate must have. Default: the host. */
  servername?: string
}

/**
 * The options of a queue. The constructor throws `InvalidStateError` for an unknown option.
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
 *   replicas: { count: 1, timeoutMs: 500 },
 *   migrate: true,
 *   commandTimeoutMs: 2000,
 *   maxInFlight: 1000,
 *   maxInFlightBytes: 64 * 1024 * 1024,
 *   logger: console,
 * })
 * await queue.close()
 *
 * // This process only queues records. The workers of other processes store them.
 * const producer = new DBWriteQueue('redis://localhost:6379', { worker: false })
 * await producer.close()
 */
export interface DBWriteQueueOptions {
  /** The queue's name. Queues with the same name on the same Redis are one queue. Default `'db-writes'`. */
  queueName?: string
  /** Whether this process stores records in the database. If false, it only queues them. Default true. */
  worker?: boolean
  /**
   * `postgres://user:password@host:port/database?parameter=value`. Commas separate several hosts; the
   * worker passes over one that is read-only. Default: the environment's `DATABASE_URL`, then its
   * `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`, `PGDATABASE`, `PGOPTIONS` and `PGAPPNAME`.
   *
   * The module reads these parameters and ignores others: `host` (also the directory of a Unix socket),
   * `port`, `user`, `password`, `dbname`, `options`, `application_name`, `schema` (sets the `search_path`),
   * `connect_timeout` (in seconds, at most 60; default 5), `connection_limit` (sets `poolMax`), and `ssl`,
   * `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `sslnegotiation` and `uselibpqcompat`, which have the
   * same meaning as in `pg`.
   *
   * Or a SQLite file of this machine, for development, for tests, or for a service on one machine:
   * `sqlite:audit.db` (relative to the working directory) or `sqlite:///var/lib/service/audit.db`. SQLite
   * creates the file, but not its directory. `sqlite::memory:` is a database of this queue alone, which ends
   * with the queue. Several processes may use one file. A SQLite URL takes no parameters; in a path, write
   * `#`, `?` and `%` as `%23`, `%3F` and `%25`. Do not open the file with another library in a process
   * that has the queue: `docs/operations.md` says why.
   *
   * @example
   * const databaseUrl = 'sqlite::memory:'
   * const queue = new DBWriteQueue('redis://localhost:6379', { databaseUrl, migrate: true })
   * await queue.close()
   *
   * @throws {InvalidStateError} if the URL or a parameter is invalid. The message has no part of the URL.
   */
  databaseUrl?: string
  /** How many idle connections to PostgreSQL stay open. Default: `DATABASE_POOL_MIN`, then 2. SQLite ignores it. */
  poolMin?: number
  /**
   * How many connections to PostgreSQL may be open. A worker uses two, because it stores two batches at a
   * time. Default: `connection_limit` of the URL, then `DATABASE_POOL_MAX`, then 20. SQLite ignores it: a
   * worker has one connection to the file.
   */
  poolMax?: number
  /**
   * TLS to PostgreSQL. `true` verifies the certificate and the host name. It trusts the authorities of the
   * system and of Node.js (with `NODE_EXTRA_CA_CERTS`), or those of `sslrootcert` in the URL.
   *
   * Default: `DATABASE_SSL`, then `ssl` or `sslmode` of the URL, then `PGSSLMODE`, then no TLS.
   * `DATABASE_SSL` is `verify`, `no-verify`, `false` (which decides nothing) or `true`. `true` encrypts the
   * connection, and verifies the certificate only if the URL says so. If the URL does not, the module
   * warns the logger, or else the process, with the code `SYNCKAIROS_DATABASE_UNVERIFIED`.
   *
   * @throws {InvalidStateError} if it asks for TLS and the database is SQLite
   */
  ssl?: boolean | DatabaseTlsOptions
  /**
   * How often the worker tries a record if it is unclear whether the record or the database is at fault. The
   * worker tries a record that is clearly at fault once. There is no limit while the database is at fault.
   * Default 5.
   */
  attempts?: number
  /**
   * How long the worker waits before the second attempt, in milliseconds. The wait doubles with each
   * attempt, up to 30 s. Default 2000.
   */
  backoffDelay?: number
  /** How many records one transaction may hold, at most 5000. Default 500. */
  batchSize?: number
  /**
   * How many bytes of states one transaction may hold. A larger record gets its own transaction. The worker
   * reads 16 records at a time, so each of its two batches may hold 16 records beyond this limit. Default
   * 8388608 (8 MiB).
   */
  maxBatchBytes?: number
  /**
   * How many bytes of states may wait in this process for another attempt. Beyond this limit the worker
   * leaves new records in Redis. Default 33554432 (32 MiB).
   */
  maxHeldBytes?: number
  /**
   * Whether the worker creates missing tables, as `migrate()` does, before it stores its first record. The
   * worker tries until it succeeds. Requires `worker`. Default false.
   */
  migrate?: boolean
  /**
   * How many records the queue may hold. Beyond this limit `queueWrite` rejects with `BacklogFullError`,
   * and a manager writes without a record and tells the logger. In a cluster, each partition holds an
   * equal share, rounded up: one is full while others have room. Default: no limit.
   */
  maxBacklog?: number
  /**
   * How many replicas of Redis must have a record before `queueWrite` is acknowledged. The record of a
   * manager's change follows the option of the manager. Default: none.
   */
  replicas?: ReplicaOptions
  /**
   * The time in which each request to Redis settles, in milliseconds, at most 600000. A call makes one
   * request, except `migrate`, `drained`, `close`, and those that go through many records. Default 5000.
   */
  commandTimeoutMs?: number
  /** How many calls may be in flight. One more rejects at once with `OverloadedError`. Default 10000. */
  maxInFlight?: number
  /**
   * How much JSON text all calls in flight may send together, in characters. A call beyond this limit
   * rejects at once with `OverloadedError`, unless no other call is in flight. Default 268435456 (256 Mi).
   */
  maxInFlightBytes?: number
  /**
   * Receives dead letters, outages, the end of outages, and warnings of risky server settings. Default: the
   * queue warns the process (see `Logger`).
   */
  logger?: Logger
}

/**
 * Describes a record in the events of a queue.
 *
 * @example
 * queue.on('active', ({ id, sessionId, eventType, attempt }: AuditRecord) => {
 *   console.log(id, sessionId, eventType, attempt)
 * })
 */
export interface AuditRecord {
  /** A UUID (version 7): the primary key of the row in `sync_events`. */
  id: string
  sessionId: string
  eventType: string
  /** The number of this attempt. The first is 1. */
  attempt: number
}

/**
 * A record that the database refused and that the worker does not try again by itself.
 *
 * @example
 * const letters: DeadLetter[] = await queue.getFailed()
 * for (const { id, sessionId, eventType, attempts, queuedAt, failedAt, ...letter } of letters) {
 *   console.log(id, sessionId, eventType, `${attempts} tries`, queuedAt, failedAt)
 *   console.log(letter.sqlstate, letter.error.message, letter.state ?? letter.rawState)
 * }
 */
export interface DeadLetter<S extends SessionFields = DefaultState> {
  id: string
  sessionId: string
  eventType: string
  /** How often the worker tried the record. */
  attempts: number
  queuedAt: Date
  failedAt: Date
  /** Why the database refused the record. */
  error: DatabaseError
  /** The `sqlstate` of `error`, such as `'22P02'` or `'SQLITE_CONSTRAINT'`. Null if there is none. */
  sqlstate: string | null
  /** The state. Null if the record is about a deletion, or if the module cannot read the state. */
  state: S | null
  /** The text of a state that the module cannot read: another program may have queued it. Else null. */
  rawState: string | null
}

/**
 * An event of a session: a row of `sync_events`.
 *
 * @example
 * const events: HistoryEvent[] = await queue.history('game-1')
 * for (const { id, version, eventType, at, actor, metadata, ...event } of events) {
 *   console.log(at.toISOString(), id, eventType, 'version', version, 'by', actor, metadata)
 *   console.log(event.participantId, event.timeRemainingMs, event.changes?.length)
 * }
 */
export interface HistoryEvent {
  /** A UUID (version 7): the primary key of the row. */
  id: string
  /** The version of the state. Null for an event without a state: a deletion, or an expiry. */
  version: number | null
  /** `'session_created'`, `'session_updated'`, `'session_deleted'`, `'session_restored'`, or the service's own. */
  eventType: string
  /** The time of the change, by the clock of the instance that made it. */
  at: Date
  /** Who made the change: the option `actor` of the call. Null if the call did not tell. */
  actor: string | null
  /** The option `metadata` of the call. Also values of the state that did not fit their columns. */
  metadata: Record<string, unknown>
  /** The active participant after the change. */
  participantId: string | null
  /** The remaining time of the active participant, in milliseconds. */
  timeRemainingMs: number | null
  /**
   * What differs from the version before. Null for an event without a state, for the first version of a
   * session, and if the audit does not have the version before.
   */
  changes: StateChange[] | null
}

/**
 * A value that a change of a session has changed. The values are as in JSON: a date is text.
 *
 * @example
 * const [event] = await queue.history('game-1', { limit: 1 })
 * const changes: StateChange[] = event?.changes ?? []
 * for (const { path, from, to } of changes) console.log(path, from, '→', to)
 */
export interface StateChange {
  /** Where the value is, such as `participants[0].time_remaining_ms`. */
  path: string
  /** The value before. Undefined if the state did not have it. */
  from: unknown
  /** The value after. Undefined if the state does not have it any more. */
  to: unknown
}

/**
 * The database of a queue, as its user sees it.
 *
 * @example
 * const status: DatabaseStatus = await queue.databaseStatus()
 * console.log(status.database, status.version, `${status.roundTripMs} ms away`)
 * console.log('clock skew', status.now.getTime() - Date.now(), 'ms')
 * if (status.missingTables.length > 0) await queue.migrate()
 * for (const right of status.missingRights) console.log('GRANT', right)
 */
export interface DatabaseStatus {
  /** `host:port/database`, or `sqlite:` and the path. */
  database: string
  /** The version of PostgreSQL or SQLite. */
  version: string
  /** The time by the database's clock. */
  now: Date
  /** How long the database took to answer one query, in milliseconds. */
  roundTripMs: number
  /** The tables of the audit that do not exist: `migrate()` creates them. */
  missingTables: string[]
  /**
   * The rights that the audit needs and that the user lacks, such as `INSERT on sync_events`. Of tables that
   * exist.
   */
  missingRights: string[]
}

/**
 * The result of `adoptBullMQ`.
 *
 * @example
 * const { adopted, skipped }: BullMQAdoption = await queue.adoptBullMQ()
 * console.log(adopted, skipped.length)
 */
export interface BullMQAdoption {
  /** How many jobs have become records. */
  adopted: number
  /** The ids of the jobs that are not records of a session. They stay in BullMQ. */
  skipped: string[]
}

/**
 * How many records are in each phase, for all instances together.
 *
 * @example
 * const { waiting, active, delayed, ...ended }: DBWriteQueueMetrics = await queue.getMetrics()
 * console.log(waiting + active + delayed, 'to store', ended.completed, 'stored', ended.failed, 'refused')
 */
export interface DBWriteQueueMetrics {
  /** Records that no worker has claimed yet. */
  waiting: number
  /** Records that a worker has claimed. */
  active: number
  /** Records that are stored in the database. */
  completed: number
  /** Dead letters. */
  failed: number
  /** Records that wait for another attempt. */
  delayed: number
}

/**
 * The events of a queue. Only the process whose worker handles a record emits the events of the record.
 *
 * @example
 * queue.on('active', (record) => console.log('storing', record.id, 'attempt', record.attempt))
 * queue.on('completed', (record) => console.log('stored', record.sessionId, record.eventType))
 * queue.on('failed', (record, error) => console.log('refused', record.id, error.sqlstate))
 * queue.on('retrying', (record, error) => console.log('later', record.id, error.message))
 * queue.on('error', (error) => console.log('a server is away:', error.message))
 * queue.on('drained', () => console.log('nothing waits'))
 */
export interface DBWriteQueueEvents {
  /** The worker sends the record to the database. */
  active: [record: AuditRecord]
  /** The worker has stored the record in the database. */
  completed: [record: AuditRecord]
  /** The record became a dead letter. An operator has to look at it. */
  failed: [record: AuditRecord, error: DatabaseError]
  /** The worker could not store the record. It tries again later. */
  retrying: [record: AuditRecord, error: DatabaseError]
  /**
   * The worker has a problem. The event needs no listener.
   * - `DatabaseError`, `RedisUnavailableError`: the worker cannot use the database or Redis. The queue emits
   *   one event for each outage.
   * - code `AUDIT_RECORDS_LOST`: the queue vanished from Redis (`FLUSHALL`), so records may be lost.
   * - code `INTERNAL_ERROR`: the worker failed, and starts again. Please report this error.
   */
  error: [error: StateError]
  /** No record is left to store. */
  drained: []
}

/**
 * Stores every change of a session in PostgreSQL or SQLite, exactly once. The records wait in Redis, and the
 * workers of all instances share them. No outage of the database loses a record, however long the outage is.
 * Only a record that the database refuses becomes a dead letter. A queue with a worker keeps the process
 * alive until `close()`.
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
   * @param redis the Redis server of the records: a URL, settings, a client of this module, or an instance
   *   of ioredis 5 or 6 or of node-redis 4 to 6. The queue does not close a client or an instance.
   *   `'memory:'` keeps the records that wait in this process, see `RedisSource`: they are lost with it.
   * @throws {InvalidStateError} if a URL or an option is invalid
   */
  constructor(redis: RedisSource, options?: DBWriteQueueOptions)

  /**
   * Queues a record of a session's state, or of its deletion. Resolves once Redis has the record. A manager
   * with this queue makes a record of each of its writes.
   * @param state the state, or null for a deletion
   * @throws {BacklogFullError} if the queue holds `maxBacklog` records
   * @throws {InvalidStateError} if an argument or the state is invalid
   * @example await queue.queueWrite('game-1', state, 'cycle_switched')
   */
  queueWrite(sessionId: string, state: object | null, eventType: string): Promise<void>

  /**
   * Counts the records of all instances, by phase.
   * @example
   * const { waiting, active, failed } = await queue.getMetrics()
   * console.log(`${waiting + active} records to store, ${failed} dead letters`)
   */
  getMetrics(): Promise<DBWriteQueueMetrics>

  /**
   * What an operator wants to know: the records of all instances by phase, how old the oldest is, the workers,
   * and the calls of this queue. Costs Redis one script, in a cluster one for each partition.
   * @throws {RedisUnavailableError} if Redis does not answer within `commandTimeoutMs`
   * @example
   * const { oldestAgeMs, workers, dead } = await queue.metrics()
   * console.log(oldestAgeMs, workers?.length, dead)
   */
  metrics(): Promise<QueueMetrics>

  /**
   * Whether records reach the database, for a readiness probe or an alert. Asks Redis once, and resolves within
   * about a second. Never rejects. Not ready: a closed queue; Redis that does not answer within 1 s; a worker
   * of this process that has no Redis or whose database is unavailable; no worker heard of for 30 s while a
   * record waits longer than that; no record stored for 60 s while one waits longer than that. Dead letters
   * leave it ready: other records are stored. A queue without a worker judges the workers of other processes.
   * @example
   * const { ready, reasons } = await queue.health()
   * if (!ready) console.error(reasons.join('; '))
   */
  health(): Promise<Health>

  /**
   * Creates missing tables and their indexes. Does not change existing tables. Several processes may call
   * this method at once.
   * @throws {DatabaseError} if the database refuses a statement, or if the queue cannot use it
   */
  migrate(): Promise<void>

  /**
   * Reads dead letters, the newest first. A large `offset` takes many requests to Redis, of 500 letters
   * each, so that none of them blocks Redis for long.
   * @param page.offset how many letters to skip, at most 1000000. Default 0.
   * @param page.limit how many letters to read, at most 1000. Default 50.
   */
  getFailed<S extends SessionFields = DefaultState>(page?: {
    offset?: number
    limit?: number
  }): Promise<DeadLetter<S>[]>

  /**
   * Queues dead letters again. The worker does not store a record twice that the database has already.
   * @param ids the ids of the letters. Default: all letters.
   * @returns how many letters it has queued. The number is too small if an answer of Redis was lost.
   */
  retryFailed(ids?: readonly string[]): Promise<number>

  /**
   * Deletes the dead letters with these ids.
   * @returns how many letters it has deleted. The number is too small if an answer of Redis was lost.
   * @example
   * const letters = await queue.getFailed({ limit: 1000 })
   * const hopeless = letters.filter(({ sqlstate }) => sqlstate === '22P02')
   * await queue.removeFailed(hopeless.map(({ id }) => id))
   */
  removeFailed(ids: readonly string[]): Promise<number>

  /**
   * Moves the jobs of a BullMQ queue on the same Redis into this queue: each job that waits, is delayed or
   * has failed becomes one record, also while older instances add jobs. The method leaves a job to the
   * BullMQ worker that has locked it. The lock of a killed worker runs out after 30 s (BullMQ's default):
   * call this method again then. Several processes may call this method at once.
   * @param from.queueName the name of the BullMQ queue. Default: the name of this queue.
   * @param from.prefix BullMQ's key prefix. Default `'bull'`. In a cluster it has a hash tag, such as
   *   `'{bull}'`.
   * @returns how many jobs it has moved, and which jobs it has skipped. The number is too small if an
   *   answer of Redis was lost.
   * @example await queue.adoptBullMQ() // { adopted: 1204, skipped: [] }
   */
  adoptBullMQ(from?: { queueName?: string; prefix?: string }): Promise<BullMQAdoption>

  /**
   * Reads the events of a session from the database, the newest first, by the clocks of the instances that
   * made the changes. Records that wait in Redis are not there yet: await `drained()` to see all. The
   * call reads one state more than it returns events, for the `changes` of the oldest event.
   * @param page.limit how many events to read, from 1 to 1000. Default 50.
   * @param page.before the id of an event, or a date: reads only older events. Default: from the newest.
   * @throws {DatabaseError} if the database refuses a query, or if the queue cannot use it. Within 15 s, and
   *   as long as it takes to connect.
   * @throws {InvalidStateError} if an argument is invalid, if the session has no event with the id `before`,
   *   or if the queue has no database: neither a worker nor `databaseUrl` nor `DATABASE_URL`
   * @example
   * const page = await queue.history('game-1', { limit: 20 })
   * const older = await queue.history('game-1', { limit: 20, before: page.at(-1)?.id })
   * console.log(page.length, older.length)
   */
  history(
    sessionId: string,
    page?: { limit?: number; before?: string | Date },
  ): Promise<HistoryEvent[]>

  /**
   * Reads an earlier state of a session from the database. Resolves to null if the audit does not have it.
   * @param when.version the version. If the session was created several times, of its newest life.
   * @param when.at the time: the state after the newest event until then. Null if the session was deleted
   *   or had expired.
   * @throws {DatabaseError} as `history`
   * @throws {InvalidStateError} as `history`
   * @example
   * const before = await queue.stateAt('game-1', { version: 1 })
   * const yesterday = await queue.stateAt('game-1', { at: new Date(Date.now() - 86_400_000) })
   * console.log(before?.status, yesterday?.status)
   */
  stateAt<S extends SessionFields = DefaultState>(
    sessionId: string,
    when: { version: number } | { at: Date },
  ): Promise<S | null>

  /**
   * Asks the database for its version, its clock, and what it lacks for the audit. Changes nothing.
   * @throws {DatabaseError} as `history`
   * @throws {InvalidStateError} if the queue has no database, as `history`
   */
  databaseStatus(): Promise<DatabaseStatus>

  /** Resolves when no record is waiting, active or delayed. There is no time limit. */
  drained(): Promise<void>

  /**
   * Ends the worker when it has stored its current batches, within ten seconds. The workers of other
   * instances store the remaining records. A `memory:` store that ends with this queue loses them: await
   * `drained()` first. A second call returns the same promise.
   * @param force whether to end the worker at once, also in a second call. Default false.
   */
  close(force?: boolean): Promise<void>

  /**
   * Does the same as `close()`.
   * @example
   * await using queue = new DBWriteQueue('redis://localhost:6379')
   * await queue.migrate()
   */
  [Symbol.asyncDispose](): Promise<void>
}
