// A type test: compiled by `npm run lint`, never run. A function that wants a manager of one state
// accepts a manager of another: only the service knows which states its Redis holds.
import {
  type DBWriteQueue,
  RedisStateManager,
  type SyncState,
  type WriteQueue,
} from 'synckairos-state'
import type { SyncState as OwnState } from './own-session.js'
import { same } from './same.js'

declare function needsOwn(manager: RedisStateManager<OwnState>): void
declare function needsDefault(manager: RedisStateManager): void

export function passes(plain: RedisStateManager, own: RedisStateManager<OwnState>) {
  needsOwn(plain)
  needsOwn(own)
  needsDefault(own)
  needsDefault(plain)
  const engine: { manager: RedisStateManager<OwnState> } = { manager: plain }
  const made: RedisStateManager<OwnState> = new RedisStateManager('redis://localhost')
  return [engine, made]
}

/** A part of a manager is enough where no more is used, as in the mocks of unit tests. */
export async function parts(own: RedisStateManager<OwnState>) {
  const reader: { getSession(id: string): Promise<OwnState | null> } = own
  const picked: Pick<RedisStateManager<OwnState>, 'getSession' | 'deleteSession'> = {
    getSession: async () => null,
    deleteSession: async () => {},
  }
  same<Awaited<ReturnType<typeof picked.getSession>>, OwnState | null>(true)
  same<Parameters<typeof own.updateSession>[0], string>(true)
  const bound = own.getSession.bind(own)
  return [reader, await bound('a')]
}

/** Passing on does not make a call of the manager itself any less strict. */
export async function calls(own: RedisStateManager<OwnState>, reference: SyncState) {
  const read = await own.getSession('a')
  same<typeof read, OwnState | null>(true)
  // @ts-expect-error: another state than this manager's
  await own.createSession(reference)
  // @ts-expect-error: another state than this manager's
  const wrong: SyncState | null = await own.getSession('a')
  // @ts-expect-error: no manager
  needsOwn({ getSession: async () => null })
  return wrong
}

export function queues(ours: DBWriteQueue, theirs: WriteQueue<OwnState>) {
  const queue: WriteQueue<OwnState> = ours
  return [
    queue,
    new RedisStateManager<OwnState>('redis://localhost', null, ours),
    new RedisStateManager<OwnState>('redis://localhost', null, theirs),
    new RedisStateManager<OwnState>('redis://localhost', null, Math.random() > 0 ? ours : theirs),
    // @ts-expect-error: nothing to queue with
    new RedisStateManager('redis://localhost', null, { queue: 'db-writes' }),
  ]
}
