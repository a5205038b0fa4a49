import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { startInstance } from './instance.ts'

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
  await mend()
  const again = await service.get(path)
  await service.close()
  cut()

  expect(without).toMatchObject({ status: 503, body: { code: 'REDIS_UNAVAILABLE' } })
  expect(without.headers.get('retry-after')).toBe('1')
  expect(again.status).toBe(404)
}, 20_000)
