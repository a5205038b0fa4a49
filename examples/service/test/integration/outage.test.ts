import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { startInstance } from './instance'

/** A way to the Redis of `REDIS_URL` that can be cut and mended. */
async function way() {
  const url = new URL(process.env.REDIS_URL ?? '')
  const redis = { host: url.hostname, port: Number(url.port || 6379) }
  const ends = new Set<Socket>()
  const server = net.createServer((client) => {
    const there = net.connect(redis)
    client.pipe(there).pipe(client)
    for (const end of [client, there]) {
      ends.add(end)
      end.on('error', () => {}) // `cut()` is meant to break them.
    }
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  url.host = `127.0.0.1:${port}`
  return {
    url: url.href,
    cut() {
      server.close()
      for (const end of ends) end.destroy()
    },
    mend: () => once(server.listen(port, '127.0.0.1'), 'listening'),
  }
}

test('without Redis it asks to be tried later, and with Redis it goes on', async () => {
  const { url, cut, mend } = await way()
  process.env.REDIS_URL = url
  const service = await startInstance()
  const path = `/sessions/${randomUUID()}`

  cut()
  const without = await service.get(path)
  const ready = await service.get('/ready')
  const live = await service.get('/live')
  await mend()
  const again = await service.get(path)
  const readyAgain = await until(async () => {
    const answer = await service.get('/ready')
    return answer.status === 200 ? answer : undefined
  })
  await service.close()
  cut()

  expect(without).toMatchObject({ status: 503, body: { code: 'REDIS_UNAVAILABLE' } })
  expect(without.headers.get('retry-after')).toBe('1')
  expect([ready.status, live.status]).toEqual([503, 200])
  expect(again.status).toBe(404)
  expect(readyAgain.body).toMatchObject({ redis: 'PONG' })
}, 30_000)

/** What `look` finds, once it does. */
async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 10_000
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (Date.now() > deadline) throw new Error('It did not come')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
