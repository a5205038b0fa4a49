// A type test: compiled by `npm run lint`, never run. A test's store, with the module's state and with a
// service's own.
import type { RedisClient } from 'synckairos-state/config/redis'
import type { DBWriteQueue } from 'synckairos-state/state/DBWriteQueue'
import { RedisStateManager } from 'synckairos-state/state/RedisStateManager'
import { createTestStore, type TestRecord, type TestStore } from 'synckairos-state/testing'
import type { SyncState } from 'synckairos-state/types/session'
import type { SyncState as OwnState } from './own-session.js'
import { same } from './same.js'

export async function withTheModulesState(store: TestStore): Promise<void> {
  const queue = store.queue({ maxBacklog: 10 })
  same<typeof queue, DBWriteQueue>(true)
  const manager = store.manager({ queue, ttlSeconds: 60 })
  same<typeof manager, RedisStateManager<SyncState>>(true)
  const sessions = store.sessions()
  same<typeof sessions, SyncState[]>(true)
  const [record] = store.records()
  same<typeof record, TestRecord<SyncState> | undefined>(true)
  const end: () => void = store.outage()
  end()
  await store.gap()
  await store.gap(() => manager.deleteSession('a'))
  const client: RedisClient = store.client()
  await new RedisStateManager(client, null, queue).close()
  // @ts-expect-error: no option of a manager
  store.manager({ ttl: 60 })
  // @ts-expect-error: a number
  store.clock.advance('60')
}

export async function withAnOwnState(state: OwnState): Promise<void> {
  await using store = createTestStore()
  const manager = store.manager<OwnState>({
    queue: { queueWrite: (_id, written) => console.log(written.increment_ms) },
  })
  same<typeof manager, RedisStateManager<OwnState>>(true)
  await manager.createSession(state)
  const records = store.records<OwnState>()
  console.log(records[0]?.state?.participants[0]?.cycle_count)
  console.log(store.sessions<OwnState>()[0]?.participants[0]?.has_expired)
}
