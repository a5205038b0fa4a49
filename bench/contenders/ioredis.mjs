import { Redis } from 'ioredis'
import { BARE_SCRIPT, BareUpdates } from '../workload/bare-update.mjs'
import { operationsOf } from './client.mjs'

export async function open(setting, { autoPipelining = false, ownScript = false }) {
  const redis = new Redis({ ...setting.redis, enableAutoPipelining: autoPipelining })
  const client = {
    get: (key) => redis.get(key),
    getMany: (keys) => redis.mget(keys),
    // By its own method: those are what it pipelines by itself.
    send: ([name, ...args]) => redis[name.toLowerCase()](...args),
  }
  const options = {}
  if (ownScript) {
    const sha = await redis.script('LOAD', BARE_SCRIPT)
    options.updatesOf = (state) => new BareUpdates(sha, state)
  }
  return { operations: operationsOf(client, setting, options), close: () => redis.quit() }
}
