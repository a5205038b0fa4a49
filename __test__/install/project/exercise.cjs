'use strict'

const assert = require('node:assert/strict')
const { randomUUID } = require('node:crypto')

/**
 * A session's life, with the classes that a way of loading the module gave.
 *
 * @param {typeof import('synckairos-state')} api
 * @param {string} [url] that of a real Redis if none is given
 */
module.exports = async function exercise(api, url = process.env.REDIS_URL) {
  const { RedisStateManager, ConcurrencyError, StateError } = api
  const manager = new RedisStateManager(url)
  const id = randomUUID()
  const now = new Date()
  await manager.createSession({
    session_id: id,
    version: 1,
    sync_mode: 'per_participant',
    status: 'pending',
    participants: [],
    active_participant_id: null,
    total_time_ms: 600_000,
    time_per_cycle_ms: null,
    increment_ms: null,
    max_time_ms: null,
    cycle_started_at: null,
    session_started_at: null,
    session_completed_at: null,
    created_at: now,
    updated_at: now,
  })
  const state = await manager.getSession(id)
  assert.equal(state.version, 1)
  assert(state.created_at instanceof Date)

  await manager.updateSession(id, { ...state, status: 'running' }, 1)
  assert.equal((await manager.getSession(id)).version, 2)
  const refused = await manager.updateSession(id, state, 1).catch((error) => error)
  for (const type of [ConcurrencyError, StateError, Error]) assert(refused instanceof type)

  await manager.deleteSession(id)
  assert.equal(await manager.getSession(id), null)
  await manager.close()
}
