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
