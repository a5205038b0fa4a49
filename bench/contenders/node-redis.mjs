import { createClient } from 'redis6'
import { operationsOf } from './client.mjs'

export async function open(setting) {
  const redis = await createClient({ url: setting.url }).connect()
  const client = {
    get: (key) => redis.get(key),
    getMany: (keys) => redis.mGet(keys),
    send: (words) => redis.sendCommand(words),
  }
  return { operations: operationsOf(client, setting), close: () => redis.close() }
}
