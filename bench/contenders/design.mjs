import { randomUUID } from 'node:crypto'
import { Deliveries, microsNow } from '../measures/delivery.mjs'
import { watchEventLoop } from '../measures/event-loop.mjs'
import { drained, enqueue } from '../workload/records.mjs'
import { makeSession, makeSessions } from '../workload/session.mjs'
import { OUT_OF_STOCK, WAITING_QUEUE } from './index.mjs'

const MANY = 50

/**
 * What a whole state store is measured by: this module, and the reference design, whose managers
 * and queues have the same methods. What nothing needs is not opened.
 *
 * @param {object} design
 * @param {(queue?: object) => object} design.openManager
 * @param {(options?: object) => object} design.openQueue
 * @param {(manager: object, ids: string[]) => Promise<object[]>} design.getSessions
 * @param {(manager: object) => Promise<void>} design.subscribed
 * @param {(queue: object) => Promise<void>} design.queued that the records of all changes are in Redis
 * @returns {import('./index.mjs').Opened}
 */
export function designOf({ openManager, openQueue, getSessions, subscribed, queued }) {
  const open = []
  const kept = (one) => {
    open.push(one)
    return one
  }
  const plain = once(() => kept(openManager()))
  /** Its records wait: nobody carries them to PostgreSQL. */
  const waiting = once(() => kept(openQueue({ queueName: WAITING_QUEUE, worker: false })))
  const audited = once(() => kept(openManager(waiting())))
  /** Its records are carried to PostgreSQL by a worker in this process, as services have it. */
  const carrying = once(() => {
    const queue = kept(openQueue({ queueName: 'bench-carried' }))
    const manager = kept(openManager(queue))
    const settled = async () => {
      await queued(queue)
      await drained(queue, 120_000)
    }
    return { manager, settled }
  })
  const deliveries = new Deliveries()
  const subscriptions = []
  const stock = []

  return {
    operations: {
      async get({ loops, participants }) {
        const ids = await create(plain(), makeSessions(loops, participants))
        return { run: (loop) => plain().getSession(ids[loop]) }
      },
      async getSessions({ participants }) {
        const ids = await create(plain(), makeSessions(MANY, participants))
        return { run: () => getSessions(plain(), ids) }
      },
      async update(size) {
        return { run: await updatesOf(plain(), size) }
      },
      async 'update, audited'(size) {
        return { run: await updatesOf(audited(), size), settled: () => queued(waiting()) }
      },
      async 'update, carried'(size) {
        const { manager, settled } = carrying()
        return { run: await updatesOf(manager, size), settled }
      },
      async create({ participants }) {
        const state = makeSession(participants)
        const run = async () => {
          const session_id = randomUUID()
          await audited().createSession({ ...state, session_id })
          stock.push(session_id)
        }
        return { run, settled: () => queued(waiting()) }
      },
      /** Of what was created before. */
      async delete() {
        const run = async () => {
          const id = stock.pop()
          if (id === undefined) return OUT_OF_STOCK
          await audited().deleteSession(id)
        }
        return { run }
      },
      async 'update to callback'(size) {
        return { run: await updatesOf(audited(), size, { stamped: true }) }
      },
      async 'broadcast to callback'() {
        const id = randomUUID()
        return { run: () => plain().broadcastToSession(id, { sent_at: microsNow() }) }
      },
    },
    roles: {
      async subscribe() {
        const heard = (_id, told) => deliveries.heard(told?.sent_at)
        subscriptions.push(plain().subscribeToUpdates(heard), plain().subscribeToWebSocket(heard))
        await subscribed(plain())
      },
      async unsubscribe() {
        for (const end of subscriptions.splice(0)) end()
      },
      delivered: (count) => deliveries.take(count),
      watchEventLoop: (ms) => watchEventLoop(ms, () => deliveries.count),
      async enqueue(queueName, records) {
        const queue = openQueue({ queueName, worker: false })
        await enqueue(queue, records, makeSessions(1000))
        await queue.close()
      },
      async drain(queueName, databaseUrl) {
        const start = performance.now()
        const queue = openQueue({ queueName, databaseUrl })
        await drained(queue, 120_000)
        const seconds = (performance.now() - start) / 1000
        await queue.close()
        return seconds
      },
    },
    async close() {
      for (const one of open.reverse()) await one.close()
    },
  }
}

/** Locked updates; `stamped` with the time of the call. */
async function updatesOf(manager, { loops, participants }, { stamped = false } = {}) {
  const states = makeSessions(loops, participants)
  await create(manager, states)
  return async (loop) => {
    const state = states[loop]
    if (stamped) state.sent_at = microsNow()
    await manager.updateSession(state.session_id, state, state.version)
    state.version++
  }
}

async function create(manager, states) {
  await Promise.all(states.map((state) => manager.createSession(state)))
  return states.map((state) => state.session_id)
}

/** Makes it when it is first asked for. */
function once(make) {
  let made
  return () => {
    made ??= make()
    return made
  }
}
