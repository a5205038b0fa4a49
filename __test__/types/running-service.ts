// A type test: compiled by `npm run lint`, never run. A running service keeps its own types and enums
// and names its state where it makes the manager.
import { DBWriteQueue, type DeadLetter } from 'synckairos-state/state/DBWriteQueue'
import { RedisStateManager, type WriteQueue } from 'synckairos-state/state/RedisStateManager'
import { SyncMode, type SyncParticipant, type SyncState, SyncStatus } from './own-session.js'
import { same } from './same.js'

const participant: SyncParticipant = {
  participant_id: 'alice',
  participant_index: 0,
  total_time_ms: 60_000,
  time_used_ms: 0,
  time_remaining_ms: 60_000,
  cycle_count: 0,
  is_active: true,
  has_expired: false,
}

const pending: SyncState = {
  session_id: '0190163d-8694-739b-aea5-966c26f8ad91',
  version: 1,
  sync_mode: SyncMode.PER_PARTICIPANT,
  status: SyncStatus.PENDING,
  participants: [participant],
  active_participant_id: null,
  total_time_ms: 60_000,
  time_per_cycle_ms: null,
  cycle_started_at: null,
  session_started_at: null,
  session_completed_at: null,
  created_at: new Date(),
  updated_at: new Date(),
}

export async function sessions(redis: import('ioredis').Redis, pubSub: import('ioredis').Redis) {
  const queue = new DBWriteQueue(process.env.REDIS_URL ?? '')
  const manager = new RedisStateManager<SyncState>(redis, pubSub, queue)
  await manager.createSession(pending)
  const read = await manager.getSession(pending.session_id)
  same<typeof read, SyncState | null>(true)
  if (read) {
    const [first] = read.participants
    console.log(first?.participant_index, first?.group_id, read.increment_ms ?? 0)
    await manager.updateSession(read.session_id, { ...read, status: SyncStatus.RUNNING }, 1)
    const { increment_ms, ...without } = read
    await manager.updateSession(read.session_id, without)
  }
  const written = await manager.modifySession('a', (s) => ({
    ...s,
    status: s.status === SyncStatus.PENDING ? SyncStatus.RUNNING : s.status,
  }))
  same<typeof written, SyncState>(true)
  await manager.modifySession('a', async (s) => ({ ...s, sync_mode: SyncMode.GLOBAL }))
  same<Awaited<ReturnType<typeof manager.getSessions>>, (SyncState | null)[]>(true)
  manager.subscribeToUpdates((_id: string, state: SyncState | null) => state?.participants)

  await queue.queueWrite('a', pending, 'cycle_switched')
  const letters = await queue.getFailed<SyncState>()
  same<typeof letters, DeadLetter<SyncState>[]>(true)

  // @ts-expect-error: `has_gone` is the reference's, not this service's
  read?.participants[0]?.has_gone
  // @ts-expect-error: a required field of its participants is missing
  await manager.createSession({ ...pending, participants: [{ participant_id: 'alice' }] })
}

/** A queue of the service's own says what state its manager has. */
export async function ownQueue(queue: WriteQueue<SyncState>) {
  const written: { queueWrite(id: string, state: SyncState, type: string): Promise<void> } = {
    queueWrite: async (_id, state) => console.log(state.participants[0]?.cycle_count),
  }
  const manager = new RedisStateManager('redis://localhost', null, queue)
  const read = await manager.getSession('a')
  same<typeof read, SyncState | null>(true)
  return new RedisStateManager<SyncState>('redis://localhost', undefined, written, 'session:')
}

interface Little {
  session_id: string
  sync_mode: SyncMode
  status: SyncStatus
  participants: readonly { name: string }[]
}

/** What the module reads of a state is all that it demands, and no state without it can be written. */
export async function little(state: Little) {
  await new RedisStateManager<Little>('redis://localhost').createSession(state)
  const manager = new RedisStateManager<Little & { version: number; fen: string }>('redis://a')
  await manager.createSession({ ...state, version: 1, fen: '' })

  // @ts-expect-error: a state has a session's id
  new RedisStateManager<Omit<Little, 'session_id'>>('redis://localhost')
  // @ts-expect-error: a state has a mode
  new RedisStateManager<Omit<Little, 'sync_mode'>>('redis://localhost')
  // @ts-expect-error: a state has a status
  new RedisStateManager<Omit<Little, 'status'>>('redis://localhost')
  // @ts-expect-error: a state has participants, or an empty list of them
  new RedisStateManager<Omit<Little, 'participants'>>('redis://localhost')
  // @ts-expect-error: a version is a number
  new RedisStateManager<Little & { version: string }>('redis://localhost')
  // @ts-expect-error: a state is an object
  new RedisStateManager<string>('redis://localhost')
}
