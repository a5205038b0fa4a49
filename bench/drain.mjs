import { performance } from 'node:perf_hooks'
import { deployedSchema } from '../__test__/harness/postgres.js'
import { DBWriteQueue } from '../index.js'
import { makeSession } from './document.mjs'
import { summarize } from './measure.mjs'
import * as reference from './reference/index.mjs'
import { drained, enqueue, removeWaiting } from './waiting-records.mjs'

const GOAL = 8
const SESSIONS = 1000
const WARM_UP_RECORDS = 500

/** The reference gets fewer records, as it needs as many times longer. */
const CONTENDERS = [
  { name: 'synckairos-state DBWriteQueue', Queue: DBWriteQueue, share: 1 },
  { name: 'reference design: BullMQ', Queue: reference.DBWriteQueue, share: 0.25 },
]

/**
 * How fast records that wait in Redis get into PostgreSQL, from the moment that a worker is started.
 *
 * @param {{ redis: import('../__test__/harness/redis.js').RedisServer,
 *   postgres: import('../__test__/harness/postgres.js').PostgresServer,
 *   client: import('ioredis').Redis }} servers
 */
export async function measureDrain(servers, { records, rounds, progress }) {
  const sessions = Array.from({ length: SESSIONS }, makeSession)
  for (const { Queue } of CONTENDERS) await drain(servers, Queue, sessions, WARM_UP_RECORDS)
  const rates = CONTENDERS.map(() => [])
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < CONTENDERS.length; turn++) {
      const index = (round + turn) % CONTENDERS.length
      const { name, Queue, share } = CONTENDERS[index]
      progress(`draining, round ${round + 1} of ${rounds}: ${name}`)
      rates[index].push(await drain(servers, Queue, sessions, records * share))
    }
  }
  const [ours, theirs] = rates
  const ratio = summarize(ours.map((rate, round) => rate / theirs[round]))
  return {
    results: CONTENDERS.map(({ name, share }, index) => ({
      name,
      records: records * share,
      recordsPerSecond: summarize(rates[index]),
    })),
    ratio,
    goal: GOAL,
    met: ratio.median >= GOAL,
  }
}

/** Records per second. */
async function drain({ redis, postgres, client }, Queue, sessions, records) {
  const databaseUrl = await postgres.createDatabase(deployedSchema)
  const producer = new Queue(redis.url, { worker: false, databaseUrl })
  await enqueue(producer, records, sessions)
  const start = performance.now()
  const consumer = new Queue(redis.url, { databaseUrl })
  await drained(consumer, 120_000)
  const seconds = (performance.now() - start) / 1000
  const [{ stored }] = await postgres.query(
    databaseUrl,
    'SELECT count(*)::int AS stored FROM sync_events',
  )
  if (stored !== records) throw new Error(`${stored} of ${records} records reached PostgreSQL`)
  await Promise.all([producer.close(), consumer.close()])
  await removeWaiting(client)
  return records / seconds
}
