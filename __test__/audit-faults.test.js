'use strict'

const { Audit, running } = require('./harness/audit.js')
const { PostgresProxy, report } = require('./harness/postgres-proxy.js')
const { until } = require('./harness/until.js')

const audit = Audit.use()

/** A queue whose records go to the dead letters after two tries, if they are at fault. */
async function prepared(options) {
  const queue = audit.queue({ attempts: 2, backoffDelay: 20, ...options })
  const told = { error: [], tries: 0 }
  queue.on('error', (error) => told.error.push(error))
  queue.on('retrying', ({ attempt }) => {
    told.tries = Math.max(told.tries, attempt)
  })
  return { queue, told }
}

const stored = async () => (await audit.events()).map(({ session_id: id }) => id).sort()

/** Queues a state of each session. */
async function write(queue, ...ids) {
  await Promise.all(
    ids.map((id) => queue.queueWrite(id, running({ session_id: id }), 'session_updated')),
  )
}

/** A trigger that does this for each row. */
const trigger = (table, event, body) => `
  CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN ${body}; RETURN NEW; END $$;
  CREATE TRIGGER refuse BEFORE ${event} ON ${table} FOR EACH ROW EXECUTE FUNCTION refuse()`

const untrigger = (table) => `DROP TRIGGER refuse ON ${table}`

describe('records wait while the tables refuse every record', () => {
  test.each([
    [
      'a column is missing',
      '42703',
      'ALTER TABLE sync_events DROP event_type',
      'ALTER TABLE sync_events ADD event_type text',
    ],
    [
      'a column is generated',
      '428C9',
      `ALTER TABLE sync_events DROP event_type;
       ALTER TABLE sync_events ADD event_type text GENERATED ALWAYS AS ('x') STORED`,
      `ALTER TABLE sync_events DROP event_type; ALTER TABLE sync_events ADD event_type text`,
    ],
    [
      'a column has another type',
      '22P02',
      'ALTER TABLE sync_events ALTER event_type TYPE int USING 0',
      'ALTER TABLE sync_events ALTER event_type TYPE text',
    ],
    [
      'somebody has added a column that must not be null',
      '23502',
      'DELETE FROM sync_sessions; ALTER TABLE sync_sessions ADD tenant text NOT NULL',
      'ALTER TABLE sync_sessions DROP tenant',
    ],
    [
      'sessions have no unique index',
      '42P10',
      'ALTER TABLE sync_sessions DROP CONSTRAINT sync_sessions_pkey',
      'ALTER TABLE sync_sessions ADD PRIMARY KEY (session_id)',
    ],
    [
      'a check takes nothing',
      '23514',
      'ALTER TABLE sync_events ADD CONSTRAINT nothing CHECK (id IS NULL) NOT VALID',
      'ALTER TABLE sync_events DROP CONSTRAINT nothing',
    ],
    [
      'the partition is missing',
      '23514',
      `ALTER TABLE sync_events RENAME TO whole;
       CREATE TABLE sync_events (LIKE whole) PARTITION BY RANGE (timestamp)`,
      'CREATE TABLE rest PARTITION OF sync_events DEFAULT',
    ],
    [
      'a foreign key fails at the commit',
      '23503',
      `CREATE TABLE tenants (id int PRIMARY KEY);
       ALTER TABLE sync_events ADD tenant int;
       ALTER TABLE sync_events ALTER tenant SET DEFAULT 7,
         ADD FOREIGN KEY (tenant) REFERENCES tenants DEFERRABLE INITIALLY DEFERRED`,
      'INSERT INTO tenants VALUES (7)',
    ],
    [
      'a trigger calls a function that is gone',
      '42883',
      trigger('sync_events', 'INSERT', 'PERFORM gone()'),
      untrigger('sync_events'),
    ],
    [
      'a trigger refuses',
      'P0001',
      trigger('sync_sessions', 'INSERT', "RAISE EXCEPTION 'no'"),
      untrigger('sync_sessions'),
    ],
    [
      'a right is missing',
      '42501',
      trigger('sync_events', 'INSERT', "RAISE 'no' USING ERRCODE = '42501'"),
      untrigger('sync_events'),
    ],
    [
      'a trigger refuses updates',
      'XX000',
      trigger('sync_sessions', 'UPDATE', "RAISE 'no' USING ERRCODE = 'XX000'"),
      untrigger('sync_sessions'),
    ],
  ])('%s (%s)', async (_what, sqlstate, damage, repair) => {
    const { queue, told } = await prepared()
    await queue.migrate()
    await write(queue, 'a')
    await queue.drained()
    await audit.rows(damage)
    for (const id of ['a', 'b', 'c']) await write(queue, id)
    await until(() => told.tries > 4)
    expect((await queue.getMetrics()).failed).toBe(0)
    // Records that are not refused may be stored in between: then the outage begins again.
    expect(new Set(told.error.map((error) => error.sqlstate))).toEqual(new Set([sqlstate]))

    await audit.rows(repair)
    await queue.drained()
    expect((await queue.getMetrics()).failed).toBe(0)
    expect((await stored()).slice(-3)).toEqual(['a', 'b', 'c'])
  })
})

test('what the tables refuse is told even after another outage', async () => {
  const proxy = await PostgresProxy.start(audit.postgres.port)
  audit.keep({ close: () => proxy.stop() })
  proxy.refusal = report('E', '57P03', 'starting up')
  const url = new URL(audit.databaseUrl)
  url.port = proxy.port
  const { queue, told } = await prepared({ databaseUrl: url.href })
  await audit.queue({ worker: false }).migrate()
  await audit.rows('ALTER TABLE sync_events DROP event_type')
  await write(queue, 'a')
  await until(() => told.tries > 2)
  proxy.refusal = undefined
  await until(() => told.error.length > 1)
  expect(told.error).toMatchObject([{ sqlstate: '57P03' }, { sqlstate: '42703' }])
  const tries = told.tries
  await until(() => told.tries > tries + 2)
  expect(told.error).toHaveLength(2)
})

describe('a record that is refused while others are stored goes to the dead letters', () => {
  test.each(['22023', '23514', '23505', '42703', '42501', '42P01', 'P0001', 'XX000', '0A000'])(
    'with SQLSTATE %s, alone and among good ones',
    async (sqlstate) => {
      const { queue, told } = await prepared({ batchSize: 50 })
      await queue.migrate()
      const refuse = `RAISE 'no' USING ERRCODE = '${sqlstate}', CONSTRAINT = 'c'`
      const body = `IF NEW.session_id LIKE 'poison%' THEN ${refuse}; END IF`
      await audit.rows(trigger('sync_events', 'INSERT', body))
      await write(queue, 'poison-1')
      await until(async () => (await queue.getMetrics()).failed === 1)

      const good = Array.from({ length: 60 }, (_, at) => `good-${String(at).padStart(2, '0')}`)
      await write(queue, ...good.slice(0, 30), 'poison-2', ...good.slice(30), 'poison-3')
      await queue.drained()
      expect(await stored()).toEqual(good)
      const letters = await queue.getFailed()
      expect(letters.map((letter) => letter.sessionId).sort()).toEqual([
        'poison-1',
        'poison-2',
        'poison-3',
      ])
      for (const letter of letters) expect(letter.sqlstate).toBe(sqlstate)
      expect(told.error).toEqual([])
    },
  )
})

test.each(['40001', '55P03'])(
  'a record that others hold up (%s) waits, and no other waits for it',
  async (sqlstate) => {
    const { queue, told } = await prepared({ batchSize: 50 })
    await queue.migrate()
    const refuse = `RAISE 'locked' USING ERRCODE = '${sqlstate}'`
    const body = `IF NEW.session_id LIKE 'locked%' THEN ${refuse}; END IF`
    await audit.rows(trigger('sync_events', 'INSERT', body))
    const good = Array.from({ length: 60 }, (_, at) => `good-${String(at).padStart(2, '0')}`)
    await write(queue, 'locked-1', ...good.slice(0, 30), 'locked-2', ...good.slice(30), 'locked-3')
    await until(async () => (await stored()).length === good.length)
    await until(() => told.tries > 4) // More than `attempts`.
    expect(await queue.getMetrics()).toMatchObject({ failed: 0, completed: good.length })
    expect(told.error).toEqual([])
    await audit.rows(untrigger('sync_events'))
    await queue.drained()
    expect(await stored()).toHaveLength(good.length + 3)
  },
)

describe('one refused row refuses both', () => {
  test.each(['sync_sessions', 'sync_events'])('%s', async (table) => {
    const { queue } = await prepared()
    await queue.migrate()
    const body = "IF NEW.session_id = 'poison' THEN RAISE 'no' USING ERRCODE = '22000'; END IF"
    await audit.rows(trigger(table, 'INSERT', body))
    await write(queue, 'good', 'poison')
    await queue.drained()
    expect(await stored()).toEqual(['good'])
    expect(await audit.session('poison')).toBeUndefined()
    expect((await queue.getMetrics()).failed).toBe(1)
  })
})

describe('what happens while connecting is never a record’s fault', () => {
  test('an option of the session that PostgreSQL refuses', async () => {
    const databaseUrl = `${audit.databaseUrl}?options=-c%20lock_timeout%3Dabc`
    await audit.queue({ worker: false }).migrate()
    const { queue, told } = await prepared({ databaseUrl })
    await write(queue, 'a', 'b')
    await until(() => told.tries > 4)
    expect((await queue.getMetrics()).failed).toBe(0)
    expect(told.error).toMatchObject([{ sqlstate: '22023' }])
  })

  test.each(['XX000', '22023', '08P01', 'P0001', '28P01'])(
    'a pooler that refuses with SQLSTATE %s',
    async (sqlstate) => {
      await audit.queue({ worker: false }).migrate()
      const proxy = await PostgresProxy.start(audit.postgres.port)
      audit.keep({ close: () => proxy.stop() })
      proxy.refusal = report('E', sqlstate, 'no more connections')
      const url = new URL(audit.databaseUrl)
      url.port = proxy.port
      const { queue, told } = await prepared({ databaseUrl: url.href })
      await write(queue, 'a', 'b')
      await until(() => told.tries > 4)
      expect((await queue.getMetrics()).failed).toBe(0)
      expect(told.error).toMatchObject([{ sqlstate }])
      expect(told.error[0].message).toContain('no more connections')
      proxy.refusal = undefined
      await queue.drained()
      expect(await stored()).toEqual(['a', 'b'])
    },
  )
})
