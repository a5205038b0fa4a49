import { createClient } from 'redis6'
import { operationsOf } from './client.mjs'

export async function open(setting) {
  const { tls, ...socket } = setting.redis
  const redis = await createClient({
    socket: tls ? { ...socket, tls: true, ...tls } : socket,
  }).connect()
  const client = {
    get: (key) => redis.get(key),
    getMany: (keys) => redis.mGet(keys),
    send: (words) => redis.sendCommand(words),
  }
  return { operations: operationsOf(client, setting), close: () => redis.close() }
}
