/**
 * Session state that many Node.js instances share through one Redis, with a record of every change in
 * PostgreSQL or SQLite. The declarations are in the files of the subpaths, from which the same names can be imported:
 *
 * - `state/RedisStateManager`: `RedisStateManager` reads and writes sessions, and tells all instances.
 * - `state/DBWriteQueue`: `DBWriteQueue`, the audit, stores a record of every change in PostgreSQL or SQLite.
 * - `config/redis`: `RedisClient`, a client of Redis with each of its commands as a method.
 * - `types/session`: `SyncState`, the state of a session, and how a service registers a state of its own.
 * - `errors/StateErrors`: `StateError` and the errors that extend it.
 *
 * @example
 * const queue = new DBWriteQueue('redis://localhost:6379') // PostgreSQL: DATABASE_URL
 * await queue.migrate()
 * const manager = new RedisStateManager('redis://localhost:6379', null, queue)
 *
 * manager.subscribeToUpdates((sessionId, state) => console.log(sessionId, state?.version))
 * await manager.createSession(state)
 * await manager.modifySession('game-1', (session) => ({ ...session, status: SyncStatus.RUNNING }))
 * try {
 *   await manager.updateSession('game-1', state, 1)
 * } catch (error) {
 *   if (!(error instanceof ConcurrencyError)) throw error
 *   console.log(`version ${error.actualVersion} is stored, not ${error.expectedVersion}`)
 * }
 *
 * await manager.close()
 * await queue.close()
 *
 * @packageDocumentation
 */

export type { Logger } from './config/logger.js'
export {
  createRedisClient,
  createRedisPubSubClient,
  type RedisArgument,
  type RedisBufferReply,
  type RedisCallback,
  RedisClient,
  type RedisClientOptions,
  type RedisClientSettings,
  type RedisClientStatus,
  type RedisCommandDefinition,
  type RedisCommands,
  type RedisInstance,
  type RedisPipeline,
  type RedisPipelineResult,
  type RedisReply,
  type RedisScanOptions,
  type RedisSentinelOptions,
  type RedisServerOptions,
  type RedisSource,
  type RedisTlsOptions,
  type RedisTransaction,
} from './config/redis.js'
export type { ReplicaOptions } from './config/replicas.js'
export {
  BacklogFullError,
  ClosedError,
  ConcurrencyError,
  DatabaseError,
  InvalidStateError,
  OutcomeUnknownError,
  OverloadedError,
  RedisReplyError,
  RedisUnavailableError,
  SessionExistsError,
  SessionNotFoundError,
  StateDeserializationError,
  StateError,
} from './errors/StateErrors.js'
export {
  type AuditRecord,
  type BullMQAdoption,
  type DatabaseStatus,
  type DatabaseTlsOptions,
  DBWriteQueue,
  type DBWriteQueueEvents,
  type DBWriteQueueMetrics,
  type DBWriteQueueOptions,
  type DeadLetter,
  type HistoryEvent,
  type StateChange,
} from './state/DBWriteQueue.js'
export type { Health } from './state/health.js'
export type {
  CallDuration,
  CallMetrics,
  ManagerMetrics,
  QueueMetrics,
  WorkerMetrics,
} from './state/metrics.js'
export {
  type ChangeOptions,
  RedisStateManager,
  type RedisStateManagerOptions,
  type RestoreCounts,
  type RestoreOptions,
  type SessionCacheOptions,
  type WriteQueue,
} from './state/RedisStateManager.js'
export type {
  ConnectContext,
  ConnectionMessage,
  ConnectionPurpose,
  DeadLetterMessage,
  GapMessage,
  OperationContext,
  ServerAttributes,
} from './state/tracing.js'
export {
  type DefaultState,
  type ModifiedState,
  type SessionFields,
  SyncMode,
  type SyncParticipant,
  type SyncState,
  SyncStatus,
  type WritableState,
} from './types/session.js'
