import { GlideClient } from '@valkey/valkey-glide'
import { operationsOf } from './client.mjs'

export async function open(setting) {
  const { hostname, port } = new URL(setting.url)
  const redis = await GlideClient.createClient({
    addresses: [{ host: hostname, port: Number(port) }],
    requestTimeout: 5000,
  })
  const client = {
    get: (key) => redis.get(key),
    getMany: (keys) => redis.mget(keys),
    send: (words) => redis.customCommand(words),
  }
  return { operations: operationsOf(client, setting), close: async () => redis.close() }
}
