import { once } from 'node:events'
import { createRedisClient, createRedisPubSubClient, type Redis } from '@/config/redis'

// A database of these tests alone: they empty it.
const DATABASE = 9
let redis: Redis
beforeAll(async () => {
  redis = createRedisClient()
  await redis.select(DATABASE)
})
afterAll(() => redis.quit())
beforeEach(() => redis.flushdb())

test('values are set, read and deleted', async () => {
  expect(await redis.set('color', 'red')).toBe('OK')
  expect(await redis.get('color')).toBe('red')
  expect(await redis.del('color')).toBe(1)
  expect(await redis.get('color')).toBeNull()
})

test('values expire', async () => {
  await redis.setex('short', 100, 'a')
  await redis.set('long', 'b')

  expect(await redis.ttl('short')).toBeGreaterThan(98)
  expect(await redis.ttl('long')).toBe(-1)
  expect(await redis.expire('long', 50)).toBe(1)
  expect(await redis.ttl('long')).toBeGreaterThan(48)
})

test('keys are found by their pattern', async () => {
  await redis.set('session:a', '{}')
  await redis.set('session:b', '{}')
  await redis.set('other', '{}')

  expect((await redis.keys('session:*')).sort()).toEqual(['session:a', 'session:b'])
})

test('any command can be called', async () => {
  expect(await redis.call('INCRBY', 'hits', '5')).toBe(5)
  expect(await redis.ping()).toBe('PONG')
})

test('a duplicate is a client of the same database, which is closed by itself', async () => {
  await redis.set('color', 'red')
  const duplicate: Redis = redis.duplicate({ db: DATABASE })

  expect(await duplicate.get('color')).toBe('red')
  await duplicate.quit()

  expect(await redis.get('color')).toBe('red')
})

test('messages are heard on the channels that were subscribed to', async () => {
  const pubSub = createRedisPubSubClient()
  const heard = once(pubSub, 'message')
  expect(await pubSub.subscribe('news')).toBe(1)

  expect(await redis.publish('news', 'hello')).toBe(1)

  expect(await heard).toEqual(['news', 'hello'])
  await pubSub.quit()
})

test('a client says where it is and how it is', async () => {
  const client = createRedisClient()
  await client.ping()

  expect(client.status).toBe('ready')
  expect(client.options.host).toBe(new URL(process.env.REDIS_URL ?? '').hostname)

  const ended = once(client, 'end')
  client.disconnect()
  await ended
  expect(client.status).toBe('end')
})

test('a client tells of its connection', async () => {
  const client = createRedisClient()
  await once(client, 'connect')
  await client.quit()
})

test('a client tells of a server that is not there, and each command fails in time', async () => {
  const client = createRedisClient('redis://127.0.0.1:1', { commandTimeoutMs: 100 })
  const told = new Promise<string>((resolve) => {
    client.once('error', (error: Error) => resolve(error.message))
  })

  const outcome = await client.ping().catch((error: Error) => error.message)
  const message = await told
  client.disconnect()

  expect(outcome).not.toBe('PONG')
  expect(message).toContain('127.0.0.1:1')
})
