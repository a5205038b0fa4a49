// A type test: compiled by `npm run lint`, never run. A wrong type fails the compilation, and so
// does an error that is expected and does not come.
import {
  type AuditRecord,
  BacklogFullError,
  ConcurrencyError,
  createRedisClient,
  createRedisPubSubClient,
  type DatabaseError,
  type DatabaseStatus,
  DBWriteQueue,
  type HistoryEvent,
  InvalidStateError,
  RedisStateManager,
  type RestoreCounts,
  StateError,
  type SyncMode,
  type SyncState,
  SyncStatus,
} from 'synckairos-state'
import { same } from './same.js'

interface ChessState extends SyncState {
  current_cycle: number
  moves: { at: Date; san: string }[]
}

export async function service(state: ChessState) {
  const redis = createRedisClient()
  const pubSub = createRedisPubSubClient(process.env.REDIS_URL, { commandTimeoutMs: 1000 })
  const manager = new RedisStateManager<ChessState>(redis, pubSub, null, 'session:')
  new RedisStateManager('redis://localhost')
  new RedisStateManager(redis, undefined, { queueWrite: async () => {} }, { ttlSeconds: 60 })

  const read = await manager.getSession('a')
  same<typeof read, ChessState | null>(true)
  same<Awaited<ReturnType<typeof manager.getSessions>>, (ChessState | null)[]>(true)
  await manager.createSession(state, { ifAbsent: true })
  await manager.updateSession('a', { ...state, status: SyncStatus.RUNNING }, state.version)
  const written = await manager.modifySession('a', (s) => ({ ...s, moves: [] }), { retries: 1 })
  same<typeof written, ChessState>(true)
  same<Awaited<ReturnType<typeof manager.touchSession>>, boolean>(true)

  const unsubscribe = manager.subscribeToUpdates((id, s) => {
    same<typeof id, string>(true)
    same<typeof s, ChessState | null>(true)
  })
  same<typeof unsubscribe, () => void>(true)
  manager.subscribeToWebSocket((id, message) => console.log(id, message.type))
  await manager.subscribed()
  await using other = new RedisStateManager(redis)
  await other.broadcastToSession('a', { type: 'TIMER_TICK' })

  try {
    await manager.deleteSession('a')
  } catch (error) {
    if (error instanceof ConcurrencyError) same<typeof error.actualVersion, number>(true)
    if (error instanceof InvalidStateError) same<typeof error.field, string>(true)
    if (error instanceof StateError) same<typeof error.code, string>(true)
  }
  redis.on('error', () => {})
  same<Awaited<ReturnType<typeof redis.ping>>, string>(true)
  same<`${SyncMode.GLOBAL}`, 'global'>(true)

  // @ts-expect-error: no such status
  await manager.updateSession('a', { ...state, status: 'asleep' })
  // @ts-expect-error: a field of the state's own type is missing
  await manager.createSession({ ...state, moves: undefined })
  // @ts-expect-error: no such option
  new RedisStateManager(redis, null, null, { prefix: 'x' })
  // @ts-expect-error: a client is needed
  new RedisStateManager()
  const modified: ChessState = await manager.modifySession('a', (s) =>
    s.version > 1 ? s : undefined,
  )
  await manager.modifySession('a', async () => {})
  // @ts-expect-error: fn must return a state, or nothing
  await manager.modifySession('a', () => modified.version)
  await manager.close()
}

export async function audited(state: ChessState) {
  const queue = new DBWriteQueue(process.env.REDIS_URL ?? '', {
    attempts: 3,
    ssl: { rejectUnauthorized: false },
    maxBacklog: 1e6,
  })
  await queue.migrate()
  new RedisStateManager<ChessState>('redis://localhost', null, queue)
  queue.on('failed', (record, error) => {
    same<typeof record, AuditRecord>(true)
    same<typeof error, DatabaseError>(true)
  })
  queue.once('drained', () => {})
  await queue.queueWrite('a', state, 'cycle_switched').catch((error) => {
    if (error instanceof BacklogFullError) same<typeof error.maxBacklog, number>(true)
  })
  const { waiting } = await queue.getMetrics()
  same<typeof waiting, number>(true)
  const { workers, oldestAgeMs, lastStoredAt } = await queue.metrics()
  same<typeof oldestAgeMs, number | null>(true)
  same<typeof lastStoredAt, Date | null>(true)
  for (const { host } of workers ?? []) same<typeof host, string | undefined>(true)
  const { ready, reasons } = await queue.health()
  same<[typeof ready, typeof reasons], [boolean, string[]]>(true)
  const [letter] = await queue.getFailed<ChessState>({ offset: 0, limit: 10 })
  if (letter) same<typeof letter.state, ChessState | null>(true)
  same<Awaited<ReturnType<typeof queue.retryFailed>>, number>(true)
  await queue.removeFailed(letter ? [letter.id] : [])
  await queue.drained()
  const [event] = await queue.history('a', { limit: 1, before: new Date() })
  if (event) same<typeof event, HistoryEvent>(true)
  const earlier = await queue.stateAt<ChessState>('a', { version: 1 })
  same<typeof earlier, ChessState | null>(true)
  await queue.stateAt('a', { at: new Date() })
  same<Awaited<ReturnType<typeof queue.databaseStatus>>, DatabaseStatus>(true)
  const manager = new RedisStateManager<ChessState>('redis://localhost', null, queue)
  const restored = await manager.restoreSession('a', { version: 1, actor: 'on-call' })
  same<typeof restored, ChessState>(true)
  const counts = await manager.restoreSessions({ since: new Date(), metadata: { a: 1 } })
  same<typeof counts, RestoreCounts>(true)
  // @ts-expect-error: the event type of a restored session is not chosen
  await manager.restoreSession('a', { event: 'x' })
  // @ts-expect-error: since when?
  await manager.restoreSessions({ dryRun: true })
  await queue.close(true)

  // @ts-expect-error: no such option
  new DBWriteQueue('redis://localhost', { retries: 5 })
  // @ts-expect-error: a record comes, not its id
  queue.on('failed', (record: string) => record)
  // @ts-expect-error: the event type is needed
  await queue.queueWrite('a', state)
}

/** What services hand over today. */
export function instances(
  five: import('ioredis5').Redis,
  six: import('ioredis').Redis,
  four: ReturnType<typeof import('redis4').createClient>,
  newest: ReturnType<typeof import('redis6').createClient>,
) {
  const settings = { host: 'localhost', port: 6379, tls: { ca: Buffer.from('') } }
  // @ts-expect-error: no such setting
  new RedisStateManager({ hots: 'localhost' })
  // @ts-expect-error: no source of connections
  new RedisStateManager(42)
  return [
    new RedisStateManager(five, six),
    new RedisStateManager(four, newest),
    new RedisStateManager(settings, 'redis://localhost'),
    new DBWriteQueue(five, { worker: false }),
  ]
}
