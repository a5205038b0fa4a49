import { createRedisClient, type Redis } from '@/config/redis'
import { type Instance, startInstance } from './instance'

let service: Instance
let redis: Redis
beforeAll(async () => {
  redis = createRedisClient()
  redis.select(1) // the limiter's database
  service = await startInstance({ requestsPerMinute: 3 })
})
afterAll(async () => {
  await service.close()
  await redis.quit()
})
beforeEach(() => redis.flushdb())

test('it is ready while Redis answers', async () => {
  expect(await service.get('/ready')).toMatchObject({ status: 200, body: { redis: 'PONG' } })
  expect((await service.get('/live')).status).toBe(200)
})

test('an address that asks too often has to wait, and probes are not counted', async () => {
  const statuses = []
  for (let request = 0; request < 4; request++) {
    statuses.push((await service.get('/sessions/a')).status)
    await service.get('/live')
  }

  expect(statuses).toEqual([404, 404, 404, 429])
  const [key, ...others] = await redis.keys('limit:*')
  expect(others).toEqual([])
  expect(await redis.get(key ?? '')).toBe('4')
  const ttl = await redis.ttl(key ?? '')
  expect(ttl).toBeGreaterThan(0)
  expect(ttl).toBeLessThanOrEqual(60)
})

test('the gauges count sessions and audit records', async () => {
  const numberOf = (name: string, text: string) =>
    Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1])
  const sessions = async () => numberOf('synckairos_sessions', (await service.get('/metrics')).text)
  const before = await sessions()

  const id = await service.create()
  expect(await sessions()).toBe(before + 1)

  await service.delete(`/sessions/${id}`)
  const { text } = await service.get('/metrics')
  expect(numberOf('synckairos_sessions', text)).toBe(before)
  for (const place of ['waiting', 'active', 'completed', 'failed', 'delayed']) {
    expect(numberOf(`synckairos_db_writes{place="${place}"}`, text)).toBeGreaterThanOrEqual(0)
  }
})
