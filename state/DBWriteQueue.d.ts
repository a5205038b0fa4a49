export {
  type AuditRecord,
  type BullMQAdoption,
  DBWriteQueue,
  type DBWriteQueueEvents,
  type DBWriteQueueMetrics,
  type DBWriteQueueOptions,
  type DeadLetter,
  type Logger,
} from '../index.js'
