// A type test: compiled by `npm run lint`, never run. Where a state is written, the values of an enum
// may be written as text.
import { RedisStateManager, type SyncState, SyncStatus } from 'synckairos-state'
import type { SyncState as OwnState } from './own-session.js'
import { same } from './same.js'

export async function withTheReferencesTypes(manager: RedisStateManager, state: SyncState) {
  await manager.createSession({ ...state, status: 'pending', sync_mode: 'global' })
  await manager.createSession({
    session_id: 'session-123',
    version: 1,
    sync_mode: 'per_participant',
    status: 'pending',
    participants: [],
    active_participant_id: null,
    total_time_ms: 60_000,
    time_per_cycle_ms: null,
    increment_ms: null,
    max_time_ms: null,
    cycle_started_at: null,
    session_started_at: null,
    session_completed_at: null,
    created_at: new Date(),
    updated_at: new Date(),
  })
  await manager.updateSession('a', { ...state, status: 'running' }, state.version)
  const written = await manager.modifySession('a', (s) => ({ ...s, status: 'paused' }))
  await manager.modifySession('a', async (s) => ({ ...s, status: 'paused' as const }))
  same<typeof written.status, SyncStatus>(true)
  if (written.status === SyncStatus.PAUSED) return written

  // @ts-expect-error: no such status
  await manager.updateSession('a', { ...state, status: 'asleep' })
  // @ts-expect-error: any text is no status
  await manager.updateSession('a', { ...state, status: String(state.status) })
  // @ts-expect-error: no such mode
  await manager.modifySession('a', (s) => ({ ...s, sync_mode: 'blitz' }))
  return null
}

export async function withOwnEnums(manager: RedisStateManager<OwnState>, state: OwnState) {
  await manager.createSession({ ...state, status: 'pending' })
  await manager.updateSession('a', { ...state, status: 'running' }, 1)
  await manager.modifySession('a', (s) => ({ ...s, status: 'expired' }))
  // @ts-expect-error: no such status
  await manager.updateSession('a', { ...state, status: 'asleep' })
}

interface Turn {
  session_id: string
  version: number
  sync_mode: 'per_cycle'
  status: 'pending' | 'running'
  participants: string[]
  note?: string
}

export async function withUnionsOfText(turn: Turn) {
  const manager = new RedisStateManager<Turn>('redis://localhost')
  await manager.updateSession('a', { ...turn, status: 'running', note: 'any text' })
  // @ts-expect-error: not in this service's union
  await manager.updateSession('a', { ...turn, status: 'paused' })
}

/** Code that knows nothing of the state but that there is one. */
export async function generic<S extends SyncState>(manager: RedisStateManager<S>, state: S) {
  await manager.updateSession('a', state, state.version)
  await manager.modifySession('a', (s) => s)
  const read = await manager.getSession('a')
  if (read) await manager.createSession(read)
}
