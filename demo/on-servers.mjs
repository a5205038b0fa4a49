// The demo's place on servers: instances are processes, which share a Redis, and PostgreSQL keeps the
// record of each change.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { startPostgres } from './postgres.mjs'
import { startRedis } from './redis.mjs'

export const words = { instances: 'processes', store: 'Redis', database: 'PostgreSQL' }

/** @param {string} name a part of its keys, unique in a shared Redis @param {string} sessionId */
export async function open(name, sessionId) {
  const starting = [startRedis(name, sessionId), startPostgres(sessionId)]
  const close = () => closeAll(starting)
  try {
    const [redis, postgres] = await Promise.all(starting)
    return {
      description: [`Redis: ${redis.description}.`, `PostgreSQL: ${postgres.description}.`],
      urls: { redis: redis.url, database: postgres.url },
      options: redis.options,
      rowsOf: postgres.rowsOf,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** Stops also what is still starting. */
async function closeAll(starting) {
  const nothing = () => {}
  const stopping = starting.map((server) => server.then(({ stop }) => stop(), nothing))
  const failed = (await Promise.allSettled(stopping)).find(({ status }) => status === 'rejected')
  if (failed) throw failed.reason
}

/** @param {object} setting what the instance is told */
export function start(setting) {
  const script = fileURLToPath(new URL('instance.mjs', import.meta.url))
  // A URL's password is not seen in the list of processes.
  const env = { ...process.env, SYNCKAIROS_DEMO: JSON.stringify(setting) }
  const child = fork(script, [], { env })
  return {
    ended: once(child, 'exit').then(([code, signal]) => signal ?? code),
    tell: (act) => child.connected && child.send(act),
    onMessage: (listener) => child.on('message', listener),
    stop: () => child.kill('SIGKILL'),
  }
}
