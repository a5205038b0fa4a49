import type { Gauge } from 'prom-client'
import type { SyncState } from '../types/session'
import { RedisStateManager } from './RedisStateManager'

/** The state manager, which counts in a gauge the sessions that this instance began and has not ended. */
export class StateManager extends RedisStateManager {
  readonly #sessions: Gauge

  constructor(sessions: Gauge, ...args: ConstructorParameters<typeof RedisStateManager>) {
    super(...args)
    this.#sessions = sessions
  }

  override async createSession(state: SyncState): Promise<void> {
    await super.createSession(state)
    this.#sessions.inc()
  }

  override async deleteSession(sessionId: string): Promise<void> {
    await super.deleteSession(sessionId)
    this.#sessions.dec()
  }
}
