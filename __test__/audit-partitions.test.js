'use strict'

const { Audit, callOf, running } = require('./harness/audit.js')

const audit = Audit.use()

/** What `sync_events` looks like: from the table of `migrate()`, renamed to `whole`. */
const SHAPES = [
  [
    'partitioned by its timestamp, with the timestamp in its primary key',
    `CREATE TABLE sync_events (LIKE whole, PRIMARY KEY (id, timestamp)) PARTITION BY RANGE (timestamp);
     CREATE TABLE past PARTITION OF sync_events FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
     CREATE TABLE rest PARTITION OF sync_events DEFAULT`,
  ],
  [
    'partitioned by its session',
    `CREATE TABLE sync_events (LIKE whole, PRIMARY KEY (session_id, id)) PARTITION BY HASH (session_id);
     CREATE TABLE one PARTITION OF sync_events FOR VALUES WITH (MODULUS 2, REMAINDER 0);
     CREATE TABLE two PARTITION OF sync_events FOR VALUES WITH (MODULUS 2, REMAINDER 1)`,
  ],
  ['without an index', 'CREATE TABLE sync_events (LIKE whole)'],
  [
    'with a primary key that is deferrable',
    'CREATE TABLE sync_events (LIKE whole, PRIMARY KEY (id) DEFERRABLE)',
  ],
  [
    'with an index for a part of its rows',
    `CREATE TABLE sync_events (LIKE whole);
     CREATE UNIQUE INDEX ON sync_events (id) WHERE event_type = 'other'`,
  ],
  [
    'partitioned, without an index',
    `CREATE TABLE sync_events (LIKE whole) PARTITION BY RANGE (timestamp);
     CREATE TABLE rest PARTITION OF sync_events DEFAULT`,
  ],
]

async function reshape(sql) {
  await audit.queue({ worker: false }).migrate()
  await audit.rows(`ALTER TABLE sync_events RENAME TO whole; ${sql}`)
}

async function write(queue, count) {
  const ids = Array.from({ length: count }, (_, at) => `s-${String(at).padStart(3, '0')}`)
  const states = ids.map((id) => running({ session_id: id }))
  await Promise.all(states.map((state) => queue.queueWrite(state.session_id, state, 'changed')))
  return ids
}

const stored = async () => (await audit.events()).map(({ session_id: id }) => id).sort()

describe.each(SHAPES)('a sync_events %s', (_what, sql) => {
  test('has each record once', async () => {
    await reshape(sql)
    const queue = audit.queue()
    const ids = await write(queue, 20)
    await queue.drained()
    expect(await stored()).toEqual(ids)
    expect(await queue.getMetrics()).toMatchObject({ failed: 0, completed: 20 })
  })
})

test.each([SHAPES[0], SHAPES[2]])(
  'a worker that died between commit and settling: %s',
  async (_what, sql) => {
    await reshape(sql)
    const proxy = await audit.redisProxy()
    const held = proxy.hold(callOf('settle'))
    const worker = audit.worker({ url: proxy.url })
    const queue = audit.queue({ worker: false })
    const ids = await write(queue, 3)
    await held
    expect((await stored()).length).toBeGreaterThan(0)
    await worker.kill()
    const other = audit.queue()
    await other.drained()
    expect(await stored()).toEqual(ids)
    expect((await other.getMetrics()).failed).toBe(0)
  },
  40_000,
)
