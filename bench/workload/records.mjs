import { until } from '../../__test__/harness/until.js'

/** Puts so many records into a queue, of a thousand sessions in turns; resolves when they wait. */
export async function enqueue(queue, records, sessions) {
  const AT_ONCE = 500
  for (let done = 0; done < records; done += AT_ONCE) {
    const count = Math.min(AT_ONCE, records - done)
    const write = (_, index) => {
      const state = sessions[(done + index) % sessions.length]
      return queue.queueWrite(state.session_id, state, 'session_updated')
    }
    await Promise.all(Array.from({ length: count }, write))
  }
}

/** Resolves when all records of a queue are in PostgreSQL. */
export async function drained(queue, timeoutMs) {
  await until(async () => {
    const { waiting, active, delayed, failed } = await queue.getMetrics()
    if (failed > 0) throw new Error(`${failed} records failed`)
    return waiting + active + delayed === 0
  }, timeoutMs)
}

/** Removes the records of a queue that nobody carries, ours and BullMQ's. */
export async function sweep(redis, queueName) {
  let cursor = '0'
  do {
    const [next, keys] = await redis.scan(cursor, 'MATCH', `*${queueName}*`, 'COUNT', 10_000)
    if (keys.length > 0) await redis.del(...keys)
    cursor = next
  } while (cursor !== '0')
}
