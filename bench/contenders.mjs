import { Redis } from 'ioredis'
import { OldInstance } from '../__test__/harness/old-instance.js'
import { RedisStateManager } from '../index.js'
import { auditedContenders } from './audited-contenders.mjs'
import { createAll } from './document.mjs'
import { lockedUpdates } from './locked-updates.mjs'

/**
 * A contender: `open` connects and returns `run`, one operation of the loop with this number, and
 * `close`. Each loop has a session of its own, so that locked updates do not meet. To compare with
 * another library, add an object to the list.
 *
 * @typedef {object} Contender
 * @property {string} name
 * @property {'get' | 'update' | 'audited update'} operation contenders are compared within one operation
 * @property {boolean} [baseline] the one that the others' ratios are to
 * @property {Record<number, Goal[]>} [goals] by calls in flight
 * @property {(setting: { url: string, loops: number }) => Promise<Opened>} open
 *
 * @typedef {object} Opened
 * @property {(loop: number) => Promise<unknown>} run
 * @property {() => Promise<unknown>} [settled] where `run` leaves work behind: that it is done
 * @property {() => Promise<unknown>} close
 *
 * @typedef {{ figure: 'opsPerSecond' | 'settledPerSecond', atLeast: number } | { figure: 'p50', atMost: number }} Goal
 *   of the ratio to the baseline
 */

/** @type {Contender[]} */
export const contenders = [
  {
    name: 'synckairos-state getSession',
    operation: 'get',
    goals: { 64: [{ figure: 'opsPerSecond', atLeast: 1.8 }] },
    async open({ url, loops }) {
      const manager = new RedisStateManager(url)
      const ids = await createAll(loops, (state) => manager.createSession(state))
      return { run: (loop) => manager.getSession(ids[loop]), close: () => manager.close() }
    },
  },
  {
    name: 'ioredis GET + JSON.parse',
    operation: 'get',
    baseline: true,
    open: (setting) => openIoredisGet(setting, {}),
  },
  {
    name: 'ioredis GET + JSON.parse, auto-pipelined',
    operation: 'get',
    open: (setting) => openIoredisGet(setting, { enableAutoPipelining: true }),
  },
  {
    name: 'synckairos-state updateSession, locked',
    operation: 'update',
    async open({ url, loops }) {
      const manager = new RedisStateManager(url)
      return { run: await lockedUpdates(manager, loops), close: () => manager.close() }
    },
  },
  {
    name: 'old design: GET, compare, SETEX, PUBLISH',
    operation: 'update',
    baseline: true,
    async open({ url, loops }) {
      const redis = new Redis(url)
      return { run: await lockedUpdates(new OldInstance(redis), loops), close: () => redis.quit() }
    },
  },
  ...auditedContenders,
]

async function openIoredisGet({ url, loops }, options) {
  const redis = new Redis(url, options)
  const ids = await createAll(loops, (state) =>
    redis.setex(`session:${state.session_id}`, 3600, JSON.stringify(state)),
  )
  const keys = ids.map((id) => `session:${id}`)
  return {
    run: async (loop) => JSON.parse(await redis.get(keys[loop])),
    close: () => redis.quit(),
  }
}
