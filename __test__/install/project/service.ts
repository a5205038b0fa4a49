import * as root from 'synckairos-state'
import { createRedisClient, type RedisClient } from 'synckairos-state/config/redis'
import { createRedisPubSubClient } from 'synckairos-state/config/redis.js'
import { ConcurrencyError, StateError } from 'synckairos-state/errors/StateErrors'
import { SessionNotFoundError } from 'synckairos-state/errors/StateErrors.js'
import { DBWriteQueue, type DBWriteQueueOptions } from 'synckairos-state/state/DBWriteQueue'
import type { AuditRecord } from 'synckairos-state/state/DBWriteQueue.js'
import { RedisStateManager } from 'synckairos-state/state/RedisStateManager'
import type { RedisStateManagerOptions } from 'synckairos-state/state/RedisStateManager.js'
import { createTestStore, type TestStore } from 'synckairos-state/testing'
import type { SyncState } from 'synckairos-state/types/session'
import { SyncStatus } from 'synckairos-state/types/session.js'
import exercise from './exercise.cjs'

export const options: RedisStateManagerOptions & DBWriteQueueOptions = { commandTimeoutMs: 1000 }
export const queue: typeof root.DBWriteQueue = DBWriteQueue
export const client = (): RedisClient => createRedisClient(process.env.REDIS_URL)
export const pubSub: typeof client = createRedisPubSubClient
export const stores: (() => TestStore)[] = [createTestStore]
export const sessionOf = (record: AuditRecord): string => record.sessionId

export async function start(manager: RedisStateManager, state: SyncState): Promise<number | null> {
  try {
    await manager.updateSession(state.session_id, { ...state, status: SyncStatus.RUNNING }, 1)
    return null
  } catch (error) {
    if (error instanceof ConcurrencyError) return error.actualVersion
    if (error instanceof SessionNotFoundError || error instanceof StateError) return 0
    throw error
  }
}

void exercise({ ...root, RedisStateManager, ConcurrencyError })
