/**
 * How many replicas of Redis must have a write before the module acknowledges it. A write that too few
 * replicas have in time rejects with `OutcomeUnknownError`: Redis has it, and a failover may lose it.
 *
 * One command `WAIT` is for all writes that are sent together. Redis answers nothing else on the manager's
 * connection meanwhile, so reads may take as long as the slowest replica, `timeoutMs` at most. What this
 * option promises, and what it does not, is in `docs/guarantees.md`.
 *
 * With `memory:` the option has no effect: such a store has no replicas.
 *
 * @example
 * const replicas: ReplicaOptions = { count: 1, timeoutMs: 500 }
 * const manager = new RedisStateManager('redis://localhost:6379', null, null, { replicas })
 * await manager.close()
 */
export interface ReplicaOptions {
  /** How many replicas, from 1 to 100. */
  count: number
  /**
   * How long Redis waits for the replicas, in milliseconds, at most `commandTimeoutMs`. Default 500, or
   * `commandTimeoutMs` if that is less.
   */
  timeoutMs?: number
}
