import { performance } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import { makeSession, makeSessions } from '../workload/session.mjs'

const TTL_MS = 2000
/** How long calls are watched, and how long before the sessions expire that begins. */
const WATCH_MS = 400
const BEFORE_MS = 100

/**
 * How long a call is held while so many sessions expire at once: the longest get of another session,
 * one after the other, less the longest in the same time without sessions that expire. The collector
 * runs before each time, as what it leaves to do differs.
 *
 * @param {(ttlSeconds?: number) => object} openManager of the same store
 * @param {number} count
 */
export async function expiry(openManager, count) {
  const lasting = openManager()
  const expiring = openManager(TTL_MS / 1000)
  const state = makeSession()
  await lasting.createSession(state)
  const longestGet = () => longest(() => lasting.getSession(state.session_id), WATCH_MS)
  const sessions = makeSessions(count)
  await Promise.all(sessions.map((one) => expiring.createSession(one)))

  globalThis.gc()
  const calm = await longestGet()

  const touched = performance.now()
  const renewed = await Promise.all(sessions.map((one) => expiring.touchSession(one.session_id)))
  if (renewed.includes(false)) throw new Error('a session has expired too early')
  globalThis.gc()
  await setTimeout(touched + TTL_MS - BEFORE_MS - performance.now())
  const busy = await longestGet()

  for (const { session_id } of [sessions[0], sessions.at(-1)]) {
    if (await expiring.getSession(session_id)) throw new Error('a session has not expired')
  }
  await Promise.all([lasting.close(), expiring.close()])
  return { count, calm, busy, held: Math.max(0, busy - calm) }
}

/** The longest of the calls that follow each other for so long, microseconds. */
async function longest(call, ms) {
  const end = performance.now() + ms
  let most = 0
  for (let before = performance.now(); before < end; ) {
    await call()
    const after = performance.now()
    most = Math.max(most, after - before)
    before = after
  }
  return most * 1000
}
