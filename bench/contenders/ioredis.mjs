import { Redis } from 'ioredis'
import { operationsOf } from './client.mjs'

export async function open(setting, { autoPipelining: enableAutoPipelining = false, dates }) {
  const redis = new Redis(setting.url, { enableAutoPipelining })
  const client = {
    get: (key) => redis.get(key),
    getMany: (keys) => redis.mget(keys),
    // By its own method: those are what it pipelines by itself.
    send: ([name, ...args]) => redis[name.toLowerCase()](...args),
  }
  return { operations: operationsOf(client, setting, { dates }), close: () => redis.quit() }
}
