'use strict'

// The incidents of docs/runbook.md, played on real servers with the commands as the page prints them.

const { Audit, running } = require('./harness/audit.js')
const { Incident, headings } = require('./harness/runbook.js')
const { until } = require('./harness/until.js')

jest.setTimeout(90_000)

const audit = Audit.use()
let incident
const played = []

beforeEach(async () => {
  await audit.redis.flushall()
  // The commands of the page name no queue.
  audit.queueName = 'db-writes'
  await audit.queue({ worker: false }).migrate()
})

/** A test of one incident, which plays all commands that the page has for it. */
function play(heading, scene) {
  played.push(heading)
  test(heading, async () => {
    incident = new Incident(heading, {
      env: { REDIS_URL: audit.server.url, DATABASE_URL: audit.databaseUrl },
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

test('each incident of the page is played', () => {
  expect(played).toEqual(headings())
})
