import { ConcurrencyError, SessionNotFoundError } from '@/errors/StateErrors'
import type { RedisStateManager } from '@/state/RedisStateManager'
import type { SyncState } from '@/types/session'

const ATTEMPTS = 5

/**
 * Reads the session, changes it, and writes it if nobody else has meanwhile; else again.
 *
 * @param change may be called several times, and may throw to leave the session as it is
 * @throws {SessionNotFoundError} where there is no such session (any more)
 * @throws {ConcurrencyError} where others were first, each time
 */
export async function changeSession(
  manager: RedisStateManager,
  sessionId: string,
  change: (state: SyncState) => SyncState | Promise<SyncState>,
): Promise<SyncState> {
  for (let attempt = 1; ; attempt++) {
    const state = await manager.getSession(sessionId)
    if (!state) throw new SessionNotFoundError(sessionId)
    const changed = await change(state)
    try {
      await manager.updateSession(sessionId, changed, state.version)
      return { ...changed, version: state.version + 1 }
    } catch (error) {
      if (!(error instanceof ConcurrencyError) || attempt === ATTEMPTS) throw error
    }
  }
}
