// A type test, as api.ts: what services do with a client compiles, and what is wrong does not.
import {
  createRedisClient,
  type RedisClient,
  type RedisSentinelOptions,
  RedisStateManager,
} from 'synckairos-state'
import type { Redis } from 'synckairos-state/config/redis'

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(equal: Equal<A, B>) => equal

/** As rate-limit-redis declares it, for each of its documented set-ups. */
type LimitReply = boolean | number | string | (boolean | number | string)[]
type SendCommand = (...args: string[]) => Promise<LimitReply>

export async function service() {
  const redis: Redis = createRedisClient()
  const client: RedisClient = redis
  new RedisStateManager(redis, redis.duplicate({ db: 1 }))

  same<Awaited<ReturnType<typeof client.ttl>>, number>(true)
  const text: string | null = await client.get('k')
  const bytes: Buffer | null = await client.getBuffer('k')
  const fields: Record<string, string> = await client.hgetall('h')
  const ok: 'OK' = await client.set('k', 'v')
  const expiring: 'OK' = await client.set('k', Buffer.from('v'), 'EX', 10)
  const conditional: 'OK' | null = await client.set('k', 1, 'PX', 10, 'NX')
  const before: string | null = await client.set('k', 1, 'XX', 'GET')
  // @ts-expect-error: it may be null
  const never: 'OK' = await client.set('k', 1, 'NX')
  // @ts-expect-error: a key is needed
  await client.get()
  const gone: number = (await client.del('a', 'b')) + (await client.del(['a', 'b']))
  await client.mset({ a: 1, b: 'x' })
  await client.mset('a', 1, 'b', 2)
  await client.hset('h', { a: 1 }, () => {})
  await client.hset('h', 'a', 1, 'b', 2)
  const list: string[] = await client.zrange('z', 0, -1, 'WITHSCORES')
  const popped: string | null = await client.lpop('l')
  const some: string[] | null = await client.lpop('l', 2)
  const [cursor, keys] = await client.scan(0, 'MATCH', 'a*', 'COUNT', 100)
  await client.setex('k', 10, 'v')
  await client.flushdb()
  await client.xautoclaim('x', 'g', 'c', 0, '0')
  await client.config('GET', 'maxmemory')
  await client.evalBuffer('return 1', 0)
  // @ts-expect-error: there is no such command
  await client.nosuch()
  client.get('k', (error, value) => [error?.message, value?.length])

  const results = await client.pipeline().set('a', 1).hgetall('h').call('GET', 'a').exec()
  for (const [error, result] of results)
    if (error) throw error
    else console.log(result)
  const executed = await client.multi().incr('n').exec()
  // @ts-expect-error: null where nothing was executed
  executed.length
  await client.multi([['set', 'a', '1']]).exec()

  await client.select(1)
  const count: number = await client.subscribe('a', 'b')
  client.on('message', (channel: string, message: string) => console.log(channel, message))
  client.defineCommand('mine', { numberOfKeys: 1, lua: 'return 1' })
  for await (const found of client.scanStream({ match: 'a*' })) console.log(found)
  const { host, port, db } = client.options
  await client.connect()

  const ofIoredis: SendCommand = (command: string, ...args: string[]) =>
    client.call(command, ...args) as Promise<LimitReply>
  const ofOurs: SendCommand = (...args: string[]) => client.call(...args)

  const values = [text, bytes, fields, ok, expiring, conditional, before, never, gone, list, popped]
  return [values, some, cursor, keys, count, host, port, db, ofIoredis, ofOurs]
}

/** A service keeps its settings as constants. */
export function sentinels() {
  const frozen = { sentinels: [{ host: 'h' }], name: 'm' } as const
  const settings: RedisSentinelOptions = frozen
  return [createRedisClient(frozen), createRedisClient(settings)]
}
