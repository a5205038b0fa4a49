import { Redis } from 'ioredis'
import { OldInstance } from '../__test__/harness/old-instance.js'
import { RedisStateManager } from '../index.mjs'
import { makeSession } from './document.mjs'

/**
 * A contender: `open` connects and returns `run`, one operation of the loop with this number, and
 * `close`. Each loop has a session of its own, so that locked updates do not meet. To compare with
 * another library, add an object to the list.
 *
 * @typedef {object} Contender
 * @property {string} name
 * @property {'get' | 'update'} operation contenders are compared within one operation
 * @property {boolean} [baseline] the one that the others' ratios are to
 * @property {Record<number, number>} [goals] by calls in flight: the ratio to reach
 * @property {(setting: { url: string, loops: number }) =>
 *   Promise<{ run: (loop: number) => Promise<unknown>, close: () => Promise<unknown> }>} open
 */

/** @type {Contender[]} */
export const contenders = [
  {
    name: 'synckairos-state getSession',
    operation: 'get',
    goals: { 64: 1.8 },
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
      const states = []
      await createAll(loops, (state) => {
        states.push(state)
        return manager.createSession(state)
      })
      const run = async (loop) => {
        const state = states[loop]
        await manager.updateSession(state.session_id, state, state.version)
        state.version++
      }
      return { run, close: () => manager.close() }
    },
  },
  {
    name: 'old design: GET, compare, SETEX, PUBLISH',
    operation: 'update',
    baseline: true,
    async open({ url, loops }) {
      const redis = new Redis(url)
      const instance = new OldInstance(redis)
      const states = []
      await createAll(loops, (state) => {
        states.push(state)
        return instance.createSession(state)
      })
      const run = async (loop) => {
        const state = states[loop]
        await instance.updateSession(state.session_id, state, state.version)
        state.version++
      }
      return { run, close: () => redis.quit() }
    },
  },
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

async function createAll(loops, create) {
  const sessions = Array.from({ length: loops }, makeSession)
  for (const session of sessions) await create(session)
  return sessions.map((session) => session.session_id)
}
