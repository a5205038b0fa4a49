import { GlideClient, GlideClusterClient } from '@valkey/valkey-glide'
import { operationsOf } from './client.mjs'

export async function open(setting) {
  const { tls, nodes, ...address } = setting.redis
  const Client = nodes ? GlideClusterClient : GlideClient
  const redis = await Client.createClient({
    addresses: nodes ?? [address],
    requestTimeout: 5000,
    useTLS: tls !== undefined,
    advancedConfiguration: tls && { tlsAdvancedConfiguration: { rootCertificates: tls.ca } },
  })
  const client = {
    get: (key) => redis.get(key),
    getMany: (keys) => redis.mget(keys),
    send: (words) => redis.customCommand(words),
  }
  return { operations: operationsOf(client, setting), close: async () => redis.close() }
}
