'use strict'

// The incidents of docs/runbook.md, played on real servers with the commands as the page prints them.

const { Audit, running } = require('./harness/audit.js')
const { CallableProcess } = require('./harness/callable-process.js')
const { textOf } = require('./harness/documentation.js')
const { RedisServer } = require('./harness/redis.js')
const { Incident, headings } = require('./harness/runbook.js')
const { SentinelGroup } = require('./harness/sentinel.js')
const { until } = require('./harness/until.js')

jest.setTimeout(90_000)

const audit = Audit.use()
const played = []
let env
let incident

beforeEach(async () => {
  await audit.redis.flushall()
  // The commands of the page name no queue.
  audit.queueName = 'db-writes'
  await audit.queue({ worker: false }).migrate()
  env = { REDIS_URL: audit.server.url, DATABASE_URL: audit.databaseUrl }
})

/** An instance whose callback takes 1 ms for each message, until it is told to hurry. */
const SUBSCRIBER = `
  const { RedisStateManager } = require('./index.js')
  const manager = new RedisStateManager(process.env.REDIS_URL)
  let patience = 1
  const work = () => {
    const end = performance.now() + patience
    while (performance.now() < end);
  }
  manager.subscribeToUpdates(() => {})
  manager.subscribeToWebSocket(work)
  calls.subscribed = () => manager.subscribed()
  calls.behind = () => manager.metrics().callbacksBehind
  calls.health = () => manager.health()
  calls.hurry = () => {
    patience = 0
  }
`

/** A test of one incident, which plays all commands that the page has for it. */
function play(heading, scene) {
  played.push(heading)
  test(heading, async () => {
    incident = new Incident(heading, {
      env,
      redis: audit.redis,
      query: (sql) => audit.rows(sql),
    })
    await scene()
    expect(incident.left).toEqual([])
  })
}

/** Games of two versions: created, then moved. */
async function games(manager, count, between = () => {}) {
  for (let number = 1; number <= count; number++) {
    const session_id = `game-${number}`
    await manager.createSession(running({ session_id, moves: 0 }))
    await move(manager, session_id)
    await between(number)
  }
}

/** Plays what is left, where there is nothing to do between the commands. */
async function rest() {
  while (incident.left.length > 0) await incident.next()
}

function move(manager, id, change = (state) => ({ ...state, moves: state.moves + 1 })) {
  return manager.modifySession(id, change, { event: 'moved', actor: 'bob' })
}

/** Waits until the logger of the queue was told of it, as the page says. */
function logged(level, isIt) {
  return until(() => audit.logger.told[level].some(isIt))
}

/** Changes the game again and again until `action` is done. */
async function whileItMoves(manager, action) {
  let isDone = false
  const done = action().finally(() => {
    isDone = true
  })
  await Promise.all([
    done,
    until(async () => {
      await move(manager, 'game-1')
      return isDone
    }, 20_000),
  ])
}

play('The backlog grows', async () => {
  const elsewhere = audit.queue({ queueName: 'elsewhere', worker: false })
  await games(audit.manage(elsewhere), 10)
  // Its records, as if they had been made five minutes ago.
  const entries = await audit.redis.xrange('synckairos:audit:{elsewhere}:stream', '-', '+')
  for (const [at, [, fields]] of entries.entries()) {
    await audit.redis.xadd(audit.stream, `${Date.now() - 300_000}-${at}`, ...fields)
  }
  await incident.next()
  audit.worker()
  await incident.next()
  await incident.next()
})

play('PostgreSQL is down', async () => {
  const queue = audit.queue()
  const manager = audit.manage(queue)
  await manager.createSession(running({ session_id: 'game-1', moves: 0 }))
  await queue.drained()
  await audit.postgres.kill()
  try {
    await move(manager, 'game-1')
    await logged('warn', ({ message }) => message.startsWith('PostgreSQL is unavailable;'))
    await incident.next()
  } finally {
    await audit.postgres.up()
  }
  await incident.next()
  await incident.next()
})

play('A dead letter', async () => {
  await audit.rows("ALTER TABLE sync_events ADD CONSTRAINT no_moves CHECK (event_type <> 'moved')")
  const queue = audit.queue()
  await games(audit.manage(queue), 3, (number) =>
    until(async () => (await queue.getMetrics()).failed === number),
  )
  await rest()
})

play('Redis lost its data', async () => {
  const server = await RedisServer.start()
  audit.keep({ close: () => server.stop() })
  env.REDIS_URL = server.url
  const queue = audit.queue({ url: server.url })
  await games(audit.manage(queue, { url: server.url }), 3)
  await queue.drained()
  // It keeps nothing on disk.
  await server.kill()
  await server.up()
  await logged('error', ({ err }) => err?.code === 'AUDIT_RECORDS_LOST')
  await rest()
})

play('A session looks wrong', async () => {
  const queue = audit.queue()
  const manager = audit.manage(queue)
  await games(manager, 1)
  const reason = { event: 'moved', actor: 'mallory' }
  await manager.modifySession('game-1', (state) => ({ ...state, moves: -1 }), reason)
  await queue.drained()
  await rest()
})

play('Failover', async () => {
  const group = await SentinelGroup.start()
  audit.keep({ close: () => group.stop() })
  env.REDIS_URL = group.url
  const queue = audit.queue({ url: group.url })
  const manager = audit.manage(queue, { url: group.url })
  await games(manager, 3)
  await queue.drained()
  const master = await group.master()
  await master.client().wait(2, 5000)
  await master.kill()
  for (let step = 0; step < 3; step++) await incident.next({ timeoutMs: 30_000 })
  await master.up()
  await rest()
})

play('Redis is full', async () => {
  const queue = audit.queue()
  const manager = audit.manage(queue)
  await games(manager, 1)
  await queue.drained()
  await audit.redis.config('SET', 'maxmemory', '1mb')
  audit.keep({ close: () => audit.redis.config('SET', 'maxmemory', '0') })
  await expect(move(manager, 'game-1')).rejects.toThrow(/OOM/)
  expect(await manager.getSession('game-1')).toMatchObject({ version: 2 })
  await rest()
  await move(manager, 'game-1')
})

play('A frozen worker', async () => {
  const worker = audit.worker()
  const queue = audit.queue({ worker: false })
  await until(async () => (await queue.metrics()).workers.length === 1)
  const unlock = await audit.lockEvents()
  await queue.queueWrite('game-1', running({ session_id: 'game-1' }), 'moved')
  await until(async () => (await queue.metrics()).workers[0].claimed === 1)
  await worker.pause()
  await unlock()
  await incident.next({ timeoutMs: 45_000 })
  await worker.kill()
  audit.worker()
  await rest()
})

play('A bad deploy', async () => {
  const queue = audit.queue()
  const manager = audit.manage(queue)
  await games(manager, 1)
  for (let number = 1; number <= 12; number++) {
    const renamed = (state) => ({ ...state, title: `${number}\u0000` })
    await manager.modifySession('game-1', renamed, { event: 'renamed' })
  }
  const allAreDead = async () => (await queue.getMetrics()).failed === 12
  await until(allAreDead)
  // They come back.
  expect(await queue.retryFailed()).toBe(12)
  await until(allAreDead)
  await rest()
})

play('A slow subscriber', async () => {
  const manager = audit.manage(audit.queue())
  await games(manager, 1)
  const subscriber = audit.keep(new CallableProcess(SUBSCRIBER, env))
  await subscriber.call('subscribed')
  const message = JSON.stringify({ sessionId: 'game-1', message: 1, timestamp: 1 })
  const publish = `for i = 1, 35000 do redis.call('PUBLISH', 'ws:game-1', ARGV[1]) end`
  await audit.redis.eval(publish, 0, message)
  await until(async () => (await subscriber.call('behind')) > 30_000)
  const health = () => subscriber.call('health')
  const asked = performance.now()
  await incident.health(health)
  // A probe does not wait until the callbacks have caught up.
  expect(performance.now() - asked).toBeLessThan(10_000)
  await incident.next()
  await whileItMoves(manager, () => incident.next())
  await subscriber.call('hurry')
  await incident.health(health)
})

test('each incident of the page is played', () => {
  expect(played).toEqual(headings())
})

test('the alerts that the page names are rules', () => {
  const names = textOf('docs/runbook.md').match(/`Synckairos\w+`/g)
  const rules = textOf('examples/monitoring/alerts.yml').match(/(?<=alert: )\w+/g)
  expect(rules).toEqual(expect.arrayContaining(names.map((name) => name.slice(1, -1))))
})
