// A type test: compiled by `npm run lint`, never run. A service registers its state once, and every
// `RedisStateManager` without a type argument is one of that state: no other line of it changes.
import { DBWriteQueue } from 'synckairos-state/state/DBWriteQueue'
import { RedisStateManager } from 'synckairos-state/state/RedisStateManager'
import type { SyncState as ReferenceState } from 'synckairos-state/types/session'
import { type SyncState, SyncStatus } from '../own-session.js'
import { same } from '../same.js'

declare global {
  namespace SyncKairos {
    interface Register {
      state: SyncState
    }
  }
}

class StateManager extends RedisStateManager {
  async cycles(sessionId: string): Promise<number> {
    const state = await this.getSession(sessionId)
    return state?.participants[0]?.cycle_count ?? 0
  }

  override async updateSession(id: string, state: SyncState, expectedVersion?: number) {
    return super.updateSession(id, state, expectedVersion)
  }
}

class SyncEngine {
  readonly #manager: RedisStateManager

  constructor(manager: RedisStateManager) {
    this.#manager = manager
  }

  async start(sessionId: string): Promise<SyncState> {
    const state = await this.#manager.getSession(sessionId)
    if (!state) throw new Error('not found')
    same<typeof state, SyncState>(true)
    const started = { ...state, status: SyncStatus.RUNNING, session_started_at: new Date() }
    await this.#manager.updateSession(sessionId, started, state.version)
    return started
  }
}

export async function service(state: SyncState, reference: ReferenceState) {
  const queue = new DBWriteQueue('redis://localhost')
  const manager = new StateManager('redis://localhost', undefined, queue)
  await manager.createSession(state)
  await new SyncEngine(manager).start(state.session_id)
  manager.subscribeToUpdates((_id, s) => s?.participants.filter((one) => one.has_expired))
  const [letter] = await queue.getFailed()
  same<typeof letter, undefined | { state: SyncState | null }>(false)
  console.log(letter?.state?.participants[0]?.participant_index)
  // @ts-expect-error: not the registered state
  await manager.createSession(reference)
}
