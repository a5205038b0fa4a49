'use strict'

// The same as `locked-increments.js`, by reading, comparing and writing in separate commands, as
// instances of today do.

const Redis = require('ioredis').default
const { OldInstance } = require('../harness/old-instance.js')
const { increment, run } = require('./increments.js')

const redis = new Redis(process.env.REDIS_URL)
const old = new OldInstance(redis)

run({
  connect: () => redis.ping(),
  increment: () =>
    increment(async () => {
      const state = await old.getSession(process.env.SESSION_ID)
      state.count++
      await old.updateSession(state.session_id, state, state.version)
    }, Error),
  close: () => redis.quit(),
})
