'use strict'

// Another process that reads and updates any of many sessions for a few seconds, with a cache of
// its own.

const { RedisStateManager } = require('../../index.js')

const manager = new RedisStateManager(process.env.REDIS_URL, null, null, { cache: {} })
const sessions = Number(process.env.SESSIONS)
const deadline = performance.now() + 5000

async function update() {
  while (performance.now() < deadline) {
    const id = `s-${Math.trunc(Math.random() * sessions)}`
    await manager.updateSession(id, await manager.getSession(id))
  }
}

Promise.all(Array.from({ length: 4 }, update)).then(() => manager.close())
