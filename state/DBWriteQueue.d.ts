/// <reference types="node" />
import { EventEmitter } from 'node:events'
import type { Logger } from '../config/logger.js'
import type { RedisSource } from '../config/redis.js'
import type { DatabaseError, StateError } from '../errors/StateErrors.js'
import type { DefaultState, SessionFields } from '../types/session.js'

export type { Logger } from '../config/logger.js'

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
