// A type test: compiled by `npm run lint`, never run. Services derive managers of their own.
import {
  type DBWriteQueue,
  type RedisSource,
  RedisStateManager,
  type SyncState as ReferenceState,
} from 'synckairos-state'
import { type SyncState, SyncStatus } from './own-session.js'
import { same } from './same.js'

class OwnManager extends RedisStateManager<SyncState> {
  readonly #seen = new Set<string>()

  constructor(redis: RedisSource, pubSub: RedisSource, queue: DBWriteQueue) {
    super(redis, pubSub, queue, { ttlSeconds: 60 })
  }

  override async getSession(sessionId: string): Promise<SyncState | null> {
    this.#seen.add(sessionId)
    return super.getSession(sessionId)
  }

  override async getSessions(sessionIds: readonly string[]): Promise<(SyncState | null)[]> {
    return super.getSessions(sessionIds)
  }

  override async createSession(state: SyncState): Promise<void> {
    await super.createSession({ ...state, increment_ms: state.increment_ms ?? 0 })
  }

  override async updateSession(
    sessionId: string,
    state: SyncState,
    expectedVersion?: number,
  ): Promise<void> {
    await super.updateSession(sessionId, state, expectedVersion)
  }

  override modifySession(
    sessionId: string,
    fn: (state: SyncState) => SyncState | Promise<SyncState>,
  ) {
    return super.modifySession(sessionId, fn, { retries: 10 })
  }

  override subscribeToUpdates(callback: (sessionId: string, state: SyncState | null) => void) {
    return super.subscribeToUpdates(callback)
  }

  override async deleteSession(sessionId: string): Promise<void> {
    this.#seen.delete(sessionId)
    await super.deleteSession(sessionId)
  }

  async start(sessionId: string): Promise<SyncState> {
    return this.modifySession(sessionId, (state) => ({ ...state, status: SyncStatus.RUNNING }))
  }
}

/** Of the default state, without arguments. */
class StateManager extends RedisStateManager {
  async isRunning(sessionId: string) {
    const state = await this.getSession(sessionId)
    same<typeof state, ReferenceState | null>(true)
    return state?.status === 'running'
  }
}

/** Of any state that has what it reads. */
class GenericManager<S extends ReferenceState> extends RedisStateManager<S> {
  override async getSession(sessionId: string): Promise<S | null> {
    const state = await super.getSession(sessionId)
    return state && new Date() < state.updated_at ? state : null
  }
}

declare function needsOwn(manager: RedisStateManager<SyncState>): void
declare function needsDefault(manager: RedisStateManager): void

export async function uses(queue: DBWriteQueue) {
  const own = new OwnManager('redis://localhost', 'redis://localhost', queue)
  const started = await own.start('a')
  same<typeof started, SyncState>(true)
  needsOwn(own)
  needsDefault(own)
  const plain = new StateManager('redis://localhost', null, queue)
  needsOwn(plain)
  needsDefault(plain)
  new GenericManager<ReferenceState & { fen: string }>('redis://localhost')
}

class Numbered extends RedisStateManager {
  // @ts-expect-error: it does not take what callers pass
  override async deleteSession(sessionId: number): Promise<void> {
    console.log(sessionId)
  }
}
void Numbered
