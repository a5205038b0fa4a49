// A type test: compiled by `npm run lint`, never run. The types that the API reference names, used as
// services use them that have no types of their own.

import type { RedisSource } from 'synckairos-state/config/redis'
import { ConcurrencyError } from 'synckairos-state/errors/StateErrors'
import { DBWriteQueue } from 'synckairos-state/state/DBWriteQueue'
import { RedisStateManager } from 'synckairos-state/state/RedisStateManager'
import {
  SyncMode,
  type SyncParticipant,
  type SyncState,
  SyncStatus,
} from 'synckairos-state/types/session'
import { same } from './same.js'

const alice: SyncParticipant = {
  participant_id: 'alice',
  total_time_ms: 60_000,
  time_remaining_ms: 60_000,
  has_gone: false,
  is_active: true,
}

const pending: SyncState = {
  session_id: 'session-123',
  version: 1,
  sync_mode: SyncMode.PER_PARTICIPANT,
  status: SyncStatus.PENDING,
  participants: [alice],
  active_participant_id: alice.participant_id,
  total_time_ms: 60_000,
  time_per_cycle_ms: null,
  increment_ms: null,
  max_time_ms: null,
  cycle_started_at: null,
  session_started_at: null,
  session_completed_at: null,
  created_at: new Date(),
  updated_at: new Date(),
}

export async function session(manager: RedisStateManager) {
  const written: Promise<void> = manager.createSession(pending)
  const read = await manager.getSession('session-123')
  same<typeof read, SyncState | null>(true)
  if (!read) return await written
  await manager.updateSession('session-123', { ...read, status: SyncStatus.RUNNING }, read.version)
  manager.subscribeToUpdates((id, state) => console.log(id, state?.version ?? 'deleted'))
  try {
    await manager.updateSession('session-123', read, read.version)
  } catch (error) {
    if (error instanceof ConcurrencyError) console.log(error.expectedVersion, error.actualVersion)
  }

  // @ts-expect-error: no such field
  read.stauts
  // @ts-expect-error: the other fields of a state are missing
  await manager.createSession({ session_id: 'a', version: 1 })
  // @ts-expect-error: a participant lacks its fields
  await manager.createSession({ ...pending, participants: [{ participant_id: 'bob' }] })
  // @ts-expect-error: a version is a number
  await manager.updateSession('a', read, '1')
  // @ts-expect-error: an id is a string
  await manager.getSession(1)
}

/** An enum's members are widened to the enum where a variable may change, and narrow a union. */
export function enums() {
  let status = SyncStatus.PENDING
  status = SyncStatus.RUNNING
  const record: Record<SyncMode, number> = {
    [SyncMode.PER_PARTICIPANT]: 1,
    [SyncMode.PER_CYCLE]: 2,
    [SyncMode.PER_GROUP]: 3,
    [SyncMode.GLOBAL]: 4,
    [SyncMode.COUNT_UP]: 5,
  }
  const named: SyncStatus = SyncStatus['PENDING' as keyof typeof SyncStatus]
  const running: SyncState & { status: SyncStatus.RUNNING } = {
    ...pending,
    status: SyncStatus.RUNNING,
  }
  return [status, named, record, running, Object.values(SyncMode)]
}

/** The state of a manager with a queue of this module is the default one. */
export async function audited(queue: DBWriteQueue, pubSub?: RedisSource | null) {
  class OwnQueue extends DBWriteQueue {}
  const manager = new RedisStateManager('redis://localhost', pubSub, queue)
  const read = await manager.getSession('a')
  same<typeof read, SyncState | null>(true)
  const other = new RedisStateManager('redis://localhost', null, new OwnQueue('redis://localhost'))
  const readByOther = await other.getSession('a')
  same<typeof readByOther, SyncState | null>(true)
  const recording = new RedisStateManager('redis://localhost', null, { queueWrite() {} })
  const readByRecording = await recording.getSession('a')
  same<typeof readByRecording, SyncState | null>(true)
}
