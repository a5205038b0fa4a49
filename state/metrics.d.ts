/**
 * How long calls took: a histogram with the buckets that OpenTelemetry gives for
 * `db.client.operation.duration`.
 *
 * @example
 * const { durations } = manager.metrics()
 * for (const [method, duration] of Object.entries(durations)) {
 *   const { buckets, sum, count }: CallDuration = duration
 *   console.log(method, `${count} calls`, `${sum / count} s each`, `${buckets[0]} within 1 ms`)
 * }
 */
export interface CallDuration {
  /**
   * How many calls took so long: up to 0.001 s, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5 and 10 s, and longer. Each
   * call is in one bucket: the counts are not cumulative.
   */
  buckets: number[]
  /** How long all calls together took, in seconds. */
  sum: number
  count: number
}

/**
 * The calls of a manager or a queue since it was made, by method. A call counts when its promise settles, and
 * its duration is the time from the call until then. Each method is there, also if nobody has called it.
 *
 * @example
 * const { calls }: CallMetrics = manager.metrics()
 * for (const [method, outcomes] of Object.entries(calls)) {
 *   for (const [outcome, count] of Object.entries(outcomes)) console.log(method, outcome, count)
 * }
 */
export interface CallMetrics {
  /**
   * By method and outcome. The outcome is `ok`, the `code` of the error, or `OTHER` for an error that is no
   * `StateError`, which a callback of the caller has thrown.
   */
  calls: Record<string, Record<string, number>>
  /** By method, whatever the outcome. */
  durations: Record<string, CallDuration>
}

/**
 * A worker of a queue, in any process.
 *
 * @example
 * const isAlive = ({ lastHeardMs }: WorkerMetrics) => lastHeardMs < 10_000
 * const { workers } = await queue.metrics()
 * console.log(workers?.filter(isAlive).map(({ name, host, claimed }) => [name, host, claimed]))
 */
export interface WorkerMetrics {
  /** Tells workers apart: the host, the id of the process, and a number. */
  name: string
  /** The name of the host. Undefined for a worker of an older version of this module. */
  host?: string
  /** How long ago it has asked Redis for something, in ms. One that lives asks every 2 s. */
  lastHeardMs: number
  /** How many records it has claimed and not stored yet. */
  claimed: number
}

/**
 * The records and the workers of a queue, of all instances together, and the calls of this one.
 *
 * @example
 * const metrics: QueueMetrics = await queue.metrics()
 * const { waiting, active, delayed, dead, stored } = metrics
 * console.log(waiting + active + delayed, 'records wait', dead, 'dead letters', stored, 'stored')
 * console.log('the oldest waits for', metrics.oldestAgeMs ?? 0, 'ms; last stored', metrics.lastStoredAt)
 * console.log(metrics.workers?.length, 'workers', metrics.reconnects, 'reconnects')
 */
export interface QueueMetrics extends CallMetrics {
  /** Records that no worker has claimed yet. */
  waiting: number
  /** Records that a worker has claimed. */
  active: number
  /** Records that wait for another attempt. */
  delayed: number
  /** Dead letters. */
  dead: number
  /** Records that are stored in the database. */
  stored: number
  /**
   * How long the oldest record that is not stored has waited, in ms: since it was queued or, for a dead letter,
   * retried. Records that a worker has claimed count, dead letters do not. Null if no record waits.
   */
  oldestAgeMs: number | null
  /** When records were stored last, by the clock of Redis. Null if that is not known. */
  lastStoredAt: Date | null
  /**
   * The workers that have claims or were heard of in the last 10 minutes, the latest first, 200 at most. Null if
   * the user of Redis may not call `XINFO CONSUMERS`.
   */
  workers: WorkerMetrics[] | null
  /** How often the queue, or the worker in this process, has lost its connection to Redis and got another one. */
  reconnects: number
}

/**
 * What a manager has counted since it was made, in this process.
 *
 * @example
 * const metrics: ManagerMetrics = manager.metrics()
 * console.log(metrics.inFlight, 'calls in flight', metrics.conflicts, 'conflicts', metrics.retries, 'retries')
 * console.log(metrics.cacheHits / (metrics.cacheHits + metrics.cacheMisses), 'of the reads from the cache')
 * console.log(metrics.reconnects, 'reconnects', metrics.gaps, 'gaps in the subscription')
 * console.log(metrics.callbacksBehind, 'messages wait', metrics.callbacksBehindBytes, 'bytes')
 */
export interface ManagerMetrics extends CallMetrics {
  /** Calls in flight now, with those of `modifySession` that wait for their turn. */
  inFlight: number
  /** Updates that another writer was before, also those that `modifySession` has tried again. */
  conflicts: number
  /** How often `modifySession` has tried again after a conflict. */
  retries: number
  /** How often a lost connection was replaced. */
  reconnects: number
  /** How often a subscription was interrupted. */
  gaps: number
  /** Reads that the cache has answered. 0 without a cache. */
  cacheHits: number
  /** Reads that the cache could not answer. 0 without a cache. */
  cacheMisses: number
  /** Messages that wait for the callbacks of subscriptions now. */
  callbacksBehind: number
  /** The size of these messages, in bytes. */
  callbacksBehindBytes: number
}
