'use strict'

const { InvalidStateError } = require('../index.js')
const { Audit, running } = require('./harness/audit.js')
const { ClusterGroup } = require('./harness/cluster.js')
const { refusalOf } = require('./harness/refusal.js')
const { sleep, until } = require('./harness/until.js')

const PARTITIONS = 64
/** A worker stores two batches at a time, each with claims of its own. */
const LANES = 2

const audit = Audit.use()
let group
let cluster

beforeAll(async () => {
  group = await ClusterGroup.start({ masters: 3, replicas: 1 })
}, 60_000)
afterAll(() => group?.stop())
beforeEach(async () => {
  await group.settled()
  cluster = group.client()
})

/** A URL of one node, which tells of the others. */
const url = () => {
  const { host, port } = group.nodes.find(({ works }) => works)
  return `redis://${host}:${port}`
}
const queueOf = (options) => audit.queue({ url: url(), commandTimeoutMs: 20_000, ...options })

/** The keys of this test's queue in all partitions that end like this. */
async function keysOf(what) {
  const masters = await group.masters()
  const all = masters.map((node) => {
    const client = node.client()
    return client.keys(`synckairos:audit:{*}:${audit.queueName}:${what}`).finally(() => {
      client.disconnect()
    })
  })
  return (await Promise.all(all)).flat()
}

const base = () => `synckairos:audit:{${audit.queueName}}:`

/** How many partitions each worker has the lease of, by its name. */
async function shares() {
  const leases = await cluster.hgetall(`${base()}leases`)
  const alive = await cluster.zrangebyscore(`${base()}workers`, Date.now(), '+inf')
  const of = (worker) => Object.values(leases).filter((one) => one === worker).length
  return alive.map(of)
}

const areShared = async (workers) => {
  const all = await shares()
  const fair = Math.ceil(PARTITIONS / (LANES * workers))
  const sum = all.reduce((a, b) => a + b, 0)
  return all.length === LANES * workers && sum === PARTITIONS && all.every((one) => one <= fair)
}

/** Each of these changes is stored once, and nothing is left of them. */
async function expectOnce(queue, changes) {
  const rows = await audit.rows('SELECT session_id, event_type, state_snapshot FROM sync_events')
  const stored = rows.map(({ session_id, event_type, state_snapshot }) =>
    [session_id, event_type, state_snapshot?.version ?? '-'].join(' '),
  )
  expect(stored.sort()).toEqual(changes.toSorted())
  expect(await queue.getMetrics()).toMatchObject({ waiting: 0, active: 0, delayed: 0, failed: 0 })
}

test('every change has its record once, in the partition of its session; drained waits for all', async () => {
  const queue = queueOf({ worker: false })
  await queue.migrate()
  const manager = audit.manage(queue, { url: url() })
  const changes = []
  const states = Array.from({ length: 100 }, () => running())
  await Promise.all(
    states.map(async (state) => {
      const id = state.session_id
      await manager.createSession(state)
      await queue.queueWrite(id, { ...state, version: 7 }, 'noted')
      await manager.updateSession(id, { ...state, status: 'completed' })
      changes.push(`${id} session_created 1`, `${id} noted 7`, `${id} session_updated 2`)
    }),
  )
  await manager.deleteSession(states[0].session_id)
  changes.push(`${states[0].session_id} session_deleted -`)
  expect((await keysOf('stream')).length).toBeGreaterThan(40)
  expect((await queue.getMetrics()).waiting).toBe(changes.length)
  const drained = queue.drained()
  queueOf()
  await drained
  await expectOnce(queue, changes)
  expect((await queue.getMetrics()).completed).toBe(changes.length)
  const row = await audit.session(states[1].session_id)
  expect(row.final_status).toBe('completed')
}, 60_000)

test('an idle worker asks Redis rarely, and stores a record in less than 150 ms', async () => {
  const queue = queueOf()
  await queue.migrate()
  await until(() => areShared(1), 20_000)
  const state = running()
  await queue.queueWrite(state.session_id, state, 'first')
  await queue.drained()

  const reads = async () => {
    const masters = await group.masters()
    const calls = masters.map(async (node) => {
      const client = node.client()
      const info = await client.info('commandstats')
      client.disconnect()
      return Number(/cmdstat_xreadgroup:calls=(\d+)/.exec(info)?.[1] ?? 0)
    })
    return (await Promise.all(calls)).reduce((a, b) => a + b, 0)
  }
  await sleep(1000)
  const [before, began] = [await reads(), performance.now()]
  await sleep(3000)
  const perSecond = ((await reads()) - before) / ((performance.now() - began) / 1000)
  // Each costs Redis some 3 µs.
  expect(perSecond).toBeLessThan(1200)

  const times = []
  let completed
  queue.on('completed', () => completed?.())
  for (let n = 0; n < 15; n++) {
    await sleep(200 + Math.random() * 100)
    const began = performance.now()
    const stored = new Promise((resolve) => {
      completed = resolve
    })
    await queue.queueWrite(state.session_id, state, `later-${n}`)
    await stored
    times.push(performance.now() - began)
  }
  times.sort((a, b) => a - b)
  expect(times[7]).toBeLessThan(150)
}, 60_000)

test('workers share the partitions; those of one that dies are read by the others within 10 s', async () => {
  const queue = queueOf({ worker: false })
  await queue.migrate()
  const manager = audit.manage(queue, { url: url() })
  const changes = []
  let over = false
  const traffic = Array.from({ length: 8 }, async () => {
    while (!over) {
      const state = running()
      await manager.createSession(state)
      changes.push(`${state.session_id} session_created 1`)
      await sleep(20)
    }
  })
  queueOf()
  await until(() => areShared(1), 20_000)
  const other = audit.worker({ url: url() })
  await until(() => areShared(2), 20_000)
  await until(async () => (await other.call('completed')) > 20, 20_000)
  await other.kill()
  const killed = performance.now()
  await until(() => areShared(1), 20_000)
  expect(performance.now() - killed).toBeLessThan(10_000)
  over = true
  await Promise.all(traffic)
  await queue.drained()
  await expectOnce(queue, changes)
}, 90_000)

test('a master dies under load: what was acknowledged is stored once', async () => {
  const queue = queueOf({ worker: false })
  await queue.migrate()
  const manager = audit.manage(queue, {
    url: url(),
    commandTimeoutMs: 20_000,
    replicas: { count: 1, timeoutMs: 500 },
  })
  queueOf()
  const acknowledged = new Set()
  let over = false
  const traffic = Array.from({ length: 6 }, async () => {
    while (!over) {
      const state = running()
      const created = manager.createSession(state)
      const isAcknowledged = await created.then(
        () => true,
        () => false,
      )
      if (isAcknowledged) acknowledged.add(`${state.session_id} session_created 1`)
      await sleep(10)
    }
  })
  await until(() => acknowledged.size > 100, 20_000)
  const [, victim] = await group.masters()
  await victim.kill()
  await group.settled()
  await victim.up() // As a replica: the new master had none.
  await group.settled()
  const before = acknowledged.size
  await until(() => acknowledged.size > before + 100, 30_000)
  over = true
  await Promise.all(traffic)
  await queue.drained()
  const rows = await audit.rows('SELECT session_id, event_type FROM sync_events')
  const stored = rows.map((row) => `${row.session_id} ${row.event_type} 1`)
  expect(new Set(stored).size).toBe(stored.length)
  expect([...acknowledged].filter((one) => !stored.includes(one))).toEqual([])
}, 120_000)

/** By the session in whose records they are: the node that has the partition, and its slot. */
async function placesOf(ids) {
  const places = new Map()
  for (const node of await group.masters()) {
    const client = node.client()
    for (const key of await client.keys(`synckairos:audit:{*}:${audit.queueName}:stream`)) {
      const slot = await client.cluster('KEYSLOT', key)
      for (const [, fields] of await client.xrange(key, '-', '+')) {
        places.set(fields[fields.indexOf('session') + 1], { node, slot })
      }
    }
    client.disconnect()
  }
  return ids.map((id) => places.get(id))
}

/** How many records the streams of all masters hold. */
async function left() {
  const lengths = (await group.masters()).map(async (node) => {
    const client = node.client()
    const keys = await client.keys(`synckairos:audit:{*}:${audit.queueName}:stream`)
    const all = await Promise.all(keys.map((key) => client.xlen(key)))
    client.disconnect()
    return all.reduce((a, b) => a + b, 0)
  })
  return (await Promise.all(lengths)).reduce((a, b) => a + b, 0)
}

/** The master of what the queue has once for all partitions. */
const home = async () => group.masterOf(await cluster.cluster('KEYSLOT', base()))

test('a master that stands still holds up no record of another', async () => {
  const patient = await ClusterGroup.start({ masters: 3, replicas: 0, nodeTimeoutMs: 60_000 })
  const others = [group, cluster]
  group = patient
  cluster = patient.client()
  let victim
  try {
    const queue = queueOf({ worker: false })
    await queue.migrate()
    const states = Array.from({ length: 60 }, () => running())
    for (const state of states) await queue.queueWrite(state.session_id, state, 'first')
    const places = await placesOf(states.map(({ session_id }) => session_id))
    const [first] = await patient.masters()
    const its = await home()
    victim = its === first ? (await patient.masters())[1] : first
    const alive = states.filter((_, n) => places[n].node !== victim)
    const worker = queueOf()
    await until(() => areShared(1), 20_000)
    await queue.drained()
    victim.pause()
    let completed
    worker.on('completed', () => completed?.())
    const [times, began] = [[], performance.now()]
    while (performance.now() - began < 15_000) {
      const state = alive[times.length % alive.length]
      const asked = performance.now()
      const stored = new Promise((resolve) => {
        completed = resolve
      })
      await queue.queueWrite(state.session_id, state, 'later')
      await stored
      times.push({ at: asked - began, took: performance.now() - asked })
      await sleep(20)
    }
    // A connection that does not answer any more is waited for once.
    const late = times.filter(({ at, took }) => at > 5000 && took > 1000)
    expect(late).toEqual([])
    victim.resume()
    await queue.drained()
  } finally {
    victim?.resume()
    await audit.close()
    await patient.stop()
    ;[group, cluster] = others
  }
}, 90_000)

test('a slot that moves for long holds up no record of another', async () => {
  const queue = queueOf({ worker: false, commandTimeoutMs: 60_000 })
  await queue.migrate()
  const states = Array.from({ length: 60 }, () => running())
  const changes = []
  const writeAll = async (all, eventType) => {
    for (const { session_id: id } of all) changes.push(`${id} ${eventType} 1`)
    await Promise.all(all.map((state) => queue.queueWrite(state.session_id, state, eventType)))
  }
  await writeAll(states, 'first')
  const places = await placesOf(states.map(({ session_id }) => session_id))
  const [{ node: from, slot }] = places
  const to = (await group.masters()).find((node) => node !== from)
  const [its, others] = [true, false].map((is) =>
    states.filter((_, n) => (places[n].slot === slot) === is),
  )
  const setSlot = async (node, ...words) => {
    const client = node.client()
    await client.call('CLUSTER', 'SETSLOT', slot, ...words)
    client.disconnect()
  }
  const idOf = async (node) => {
    const client = node.client()
    return client.call('CLUSTER', 'MYID').finally(() => client.disconnect())
  }
  const [source, target] = await Promise.all([from, to].map(idOf))
  await setSlot(to, 'IMPORTING', source)
  await setSlot(from, 'MIGRATING', target)
  try {
    queueOf()
    for (const eventType of ['second', 'third']) {
      // Its own records are stored, too, and stay: they cannot be settled.
      await until(async () => (await left()) === its.length, 10_000)
      await writeAll(others, eventType)
      await sleep(2500)
    }
    await until(async () => (await left()) === its.length, 10_000)
    const rows = await audit.rows('SELECT id FROM sync_events')
    expect(rows).toHaveLength(changes.length)
  } finally {
    for (const node of [from, to]) await setSlot(node, 'STABLE')
  }
  await writeAll(its, 'last')
  await queue.drained()
  await expectOnce(queue, changes)
}, 90_000)

test('a worker that may not do its work says so', async () => {
  const rights = ['on', '>secret', '~*', '&*', '+@all', '-xgroup']
  for (const node of group.nodes) {
    const client = node.client()
    await client.acl('SETUSER', 'clerk', ...rights)
    client.disconnect()
  }
  const queue = queueOf({ url: url().replace('//', '//clerk:secret@') })
  const errors = []
  queue.on('error', (error) => errors.push(error))
  await until(() => errors.some(({ message }) => /NOPERM/.test(message)), 10_000)
})

test('whoever waits until all is stored costs Redis little', async () => {
  const queue = queueOf({ worker: false })
  await queue.migrate()
  const state = running()
  await queue.queueWrite(state.session_id, state, 'x')
  const drained = queue.drained()
  const scripts = async () => {
    const masters = await group.masters()
    const calls = masters.map(async (node) => {
      const client = node.client()
      const info = await client.info('commandstats')
      client.disconnect()
      return Number(/cmdstat_evalsha:calls=(\d+)/.exec(info)?.[1] ?? 0)
    })
    return (await Promise.all(calls)).reduce((a, b) => a + b, 0)
  }
  const before = await scripts()
  await sleep(1000)
  expect((await scripts()) - before).toBe(0)
  queueOf()
  await drained
})

test('dead letters of all partitions have one order, and are retried and removed everywhere', async () => {
  await audit.deploy()
  const queue = queueOf()
  const ids = Array.from({ length: 60 }, (_, n) => `no-uuid-${n}`)
  for (const id of ids) await queue.queueWrite(id, running(), 'x')
  await until(async () => (await queue.getMetrics()).failed === ids.length, 30_000)
  const all = await queue.getFailed({ limit: 1000 })
  expect(all.map(({ sessionId }) => sessionId).sort()).toEqual(ids.toSorted())
  const times = all.map(({ failedAt }) => failedAt.getTime())
  expect(times).toEqual(times.toSorted((a, b) => b - a))
  const page = await queue.getFailed({ offset: 17, limit: 20 })
  expect(page.map(({ id }) => id)).toEqual(all.slice(17, 37).map(({ id }) => id))
  expect(await queue.getFailed({ offset: 60 })).toEqual([])

  expect(await queue.removeFailed(all.slice(0, 10).map(({ id }) => id))).toBe(10)
  expect((await queue.getMetrics()).failed).toBe(50)
  expect(await queue.retryFailed(all.slice(10, 13).map(({ id }) => id))).toBe(3)
  await until(async () => (await queue.getMetrics()).failed === 50, 30_000)
  expect(await queue.retryFailed()).toBe(50)
  await until(async () => (await queue.getMetrics()).failed === 50, 30_000)
}, 90_000)

test('a partition holds its share of maxBacklog', async () => {
  const queue = queueOf({ worker: false, maxBacklog: 2 * PARTITIONS })
  const write = (id) => queue.queueWrite(id, running(), 'x')
  await write('a')
  await write('a')
  expect(await refusalOf(() => write('a'))).toMatchObject({ code: 'BACKLOG_FULL' })
  await write('b')
})

describe('what services have queued with BullMQ', () => {
  const { Queue } = require('bullmq')

  const jobsOf = () =>
    audit.keep(new Queue(audit.queueName, { connection: group.client(), prefix: '{bull}' }))
  const add = (jobs, state) => {
    const data = { sessionId: state.session_id, state, eventType: 'x', timestamp: 1.7e12 }
    return jobs.add('x', data, { attempts: 1 })
  }

  it('moves to the partitions of its sessions, also what an adoption has left half done', async () => {
    const jobs = jobsOf()
    const states = Array.from({ length: 120 }, () => running())
    for (const state of states) await add(jobs, state)
    // One was taken out of BullMQ's hands, and its record perhaps appended.
    const [job] = await jobs.getWaiting(0, 0)
    const record = '018bcfe5-6800-7000-8000-000000000001'
    const key = `{bull}:${audit.queueName}:`
    expect(await cluster.lrem(`${key}wait`, 1, job.id)).toBe(1)
    await cluster.lpush(`${key}synckairos`, job.id)
    await cluster.hset(`${key}${job.id}`, 'synckairosRecord', record)

    const queue = queueOf()
    await queue.migrate()
    const from = { prefix: '{bull}' }
    expect(await queue.adoptBullMQ(from)).toEqual({ adopted: 120, skipped: [] })
    await queue.drained()
    await expectOnce(
      queue,
      states.map(({ session_id }) => `${session_id} x 1`),
    )
    expect(await audit.rows('SELECT id FROM sync_events WHERE id = $1', [record])).toHaveLength(1)
    expect(await jobs.getJobCountByTypes('waiting', 'active', 'delayed', 'failed')).toBe(0)
    expect(await cluster.exists(`${key}synckairos`, `${key}${job.id}`)).toBe(0)
    expect(await queue.adoptBullMQ(from)).toEqual({ adopted: 0, skipped: [] })
  }, 60_000)

  it('needs a hash tag in its prefix', async () => {
    const queue = queueOf({ worker: false })
    const refusal = await refusalOf(() => queue.adoptBullMQ())
    expect(refusal).toBeInstanceOf(InvalidStateError)
    expect(refusal.message).toContain('{bull}')
  })
})
