export {
  type AuditRecord,
  DBWriteQueue,
  type DBWriteQueueEvents,
  type DBWriteQueueMetrics,
  type DBWriteQueueOptions,
  type DeadLetter,
  type Logger,
} from '../index.js'
