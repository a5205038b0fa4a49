import { Cluster, Redis } from 'ioredis'
import { BARE_SCRIPT, BareUpdates } from '../workload/bare-update.mjs'
import { operationsOf } from './client.mjs'

export async function open(setting, { autoPipelining = false, ownScript = false }) {
  const { nodes } = setting.redis
  const options = { enableAutoPipelining: autoPipelining }
  const redis = nodes ? new Cluster(nodes, options) : new Redis({ ...setting.redis, ...options })
  const client = {
    get: (key) => redis.get(key),
    getMany: (keys) => redis.mget(keys),
    // By its own method: those are what it pipelines by itself.
    send: ([name, ...args]) => redis[name.toLowerCase()](...args),
  }
  const own = {}
  if (ownScript) {
    const sha = await redis.script('LOAD', BARE_SCRIPT)
    own.updatesOf = (state) => new BareUpdates(sha, state)
  }
  return { operations: operationsOf(client, setting, own), close: () => redis.quit() }
}
