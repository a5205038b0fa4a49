'use strict'

// Concurrent writers in one process, on one session of all processes: each increments a count so
// many times, with a locked update, again on every conflict.

const { ConcurrencyError, RedisStateManager } = require('../../index.js')
const { increment, run } = require('./increments.js')

const manager = new RedisStateManager(process.env.REDIS_URL)

run({
  connect: () => manager.getSession(process.env.SESSION_ID),
  increment: () =>
    increment(async () => {
      const state = await manager.getSession(process.env.SESSION_ID)
      state.count++
      await manager.updateSession(state.session_id, state, state.version)
    }, ConcurrencyError),
  close: () => manager.close(),
})
