'use strict'

const { CallableProcess } = require('./callable-process.js')

/** The same lines for both designs: that is what swapping it in means. */
const SCRIPT = `
  const { Redis } = require('ioredis')
  const { REDIS_URL, DATABASE_URL, DESIGN, QUEUE } = process.env
  const ready = import(DESIGN === 'old' ? './bench/reference/index.mjs' : './index.js').then(
    async ({ DBWriteQueue, RedisStateManager }) => {
      const queue = new DBWriteQueue(REDIS_URL, { databaseUrl: DATABASE_URL, queueName: QUEUE })
      const pubSub = new Redis(REDIS_URL)
      const manager = new RedisStateManager(new Redis(REDIS_URL), pubSub, queue)
      const heard = []
      manager.subscribeToUpdates((_id, state) => heard.push([state.version, state.written_by]))
      await pubSub.ping() // Answered after the subscription of the old design,
      await manager.subscribed?.() // and that of ours has its own connection.
      return { queue, manager, heard }
    },
  )
  calls.create = async (state) => (await ready).manager.createSession(state)
  calls.heard = async () => (await ready).heard
  calls.metrics = async () => (await ready).queue.getMetrics()
  calls.update = async (id, by) => {
    const { manager } = await ready
    for (;;) {
      const state = await manager.getSession(id)
      try {
        await manager.updateSession(id, { ...state, written_by: by }, state.version)
        return
      } catch (error) {
        if (error.code !== 'CONCURRENT_MODIFICATION') throw error
      }
    }
  }
`

/** An instance of a service, with a manager and a queue: of the design in use today, or of ours. */
class ServiceInstance extends CallableProcess {
  /** @param {'old' | 'new'} design @param {Record<string, string>} env */
  constructor(design, env) {
    super(SCRIPT, { ...env, DESIGN: design })
  }
}

module.exports = { ServiceInstance }
