'use strict'

const { Audit, callOf, running } = require('./harness/audit.js')
const { sleep, until } = require('./harness/until.js')

const audit = Audit.use()

const count = async (where = 'true') =>
  Number((await audit.rows(`SELECT count(*) AS rows FROM sync_events WHERE ${where}`))[0].rows)

/** The message by which a worker commits; the one by which it begins holds `COMMITTED`. */
const COMMIT = 'COMMIT\0'

const DRAINED = { waiting: 0, active: 0, delayed: 0, failed: 0 }

/** Event types that say which record it is. */
const numbered = (length, name = 'event') => Array.from({ length }, (_, n) => `${name}-${n}`)

/** These records are stored, each in one row, and nothing is left of them in Redis. */
async function expectOnce(queue, names) {
  const rows = await audit.rows('SELECT event_type FROM sync_events')
  expect(rows.map((row) => row.event_type).sort()).toEqual(names.toSorted())
  expect(await queue.getMetrics()).toEqual({ ...DRAINED, completed: names.length })
  expect(await audit.left()).toBe(0)
  expect(await audit.pending()).toBe(0)
}

describe('a worker dies', () => {
  /** The moments, as what a worker has to have said; then it is killed. */
  const MOMENTS = {
    // Held on its way: PostgreSQL never hears of it.
    'before the commit': async ({ postgres }) => {
      await postgres.hold(COMMIT)
      return () => postgres.reset()
    },
    // It arrives, and its sender does not live to hear of it.
    'while it commits': async ({ postgres }) => (await postgres.hold(COMMIT)).release,
    // Redis never hears of it.
    'between commit and settlement': async ({ redis }) => {
      await redis.hold(callOf('settle'))
      return () => redis.reset()
    },
    whenever: async () => {
      await sleep(Math.random() * 100)
      return () => {}
    },
  }

  test('20 times under load: each acknowledged change is stored once, and nothing is left', async () => {
    const writer = audit.queue({ worker: false, commandTimeoutMs: 20_000 })
    await writer.migrate()
    const manager = audit.manage(writer)
    const acknowledged = []
    let over = false
    const traffic = Array.from({ length: 6 }, async (_, n) => {
      const state = running()
      const id = state.session_id
      await manager.createSession(state)
      acknowledged.push(`${id} session_created 1`)
      for (let version = 1; !over; version++) {
        await manager.updateSession(id, state, version)
        acknowledged.push(`${id} session_updated ${version + 1}`)
        const name = `by-hand-${version}`
        if (n % 2) await writer.queueWrite(id, { ...state, version: 0 }, name)
        if (n % 2) acknowledged.push(`${id} ${name} 0`)
        await sleep(3)
      }
    })

    const moments = Object.values(MOMENTS)
    /** One after the other, each in its moment. */
    async function die(kills) {
      for (let kill = 0; kill < kills; kill++) {
        const proxies = { redis: await audit.redisProxy(), postgres: await audit.postgresProxy() }
        const urls = { url: proxies.redis.url, databaseUrl: proxies.postgres.url }
        const worker = audit.worker({ ...urls, batchSize: 20 })
        await worker.call('getMetrics')
        const afterwards = await moments[kill % moments.length](proxies)
        await worker.kill()
        afterwards()
      }
    }
    await Promise.all([die(10), die(10)])
    over = true
    await Promise.all(traffic)
    // The dead left records behind, of which some are stored and some are not.
    const entries = await audit.redis.xrange(audit.stream, '-', '+')
    const ids = entries.map(([, fields]) => fields[fields.indexOf('id') + 1])
    const both = (await audit.rows('SELECT FROM sync_events WHERE id = ANY($1)', [ids])).length
    expect(both).toBeGreaterThan(0)
    expect(both).toBeLessThan(await audit.pending())

    const heir = audit.queue()
    await heir.drained()
    const rows = await audit.rows(`
      SELECT concat_ws(' ', session_id, event_type, state_snapshot->>'version') AS change
      FROM sync_events`)
    expect(rows.map(({ change }) => change).sort()).toEqual(acknowledged.sort())
    expect(await heir.getMetrics()).toEqual({ ...DRAINED, completed: acknowledged.length })
    expect(await audit.left()).toBe(0)
    expect(await audit.pending()).toBe(0)
  }, 60_000)
})

describe('a worker stands still for longer than others wait for it', () => {
  test.each([
    ['before the commit', 'postgres', COMMIT],
    ['between commit and settlement', 'redis', callOf('settle')],
  ])(
    '%s: another takes over; after its return each record is there once',
    async (_moment, where, text) => {
      const writer = audit.queue({ worker: false })
      await writer.migrate()
      const proxies = { redis: await audit.redisProxy(), postgres: await audit.postgresProxy() }
      const urls = { url: proxies.redis.url, databaseUrl: proxies.postgres.url }
      const first = audit.worker({ ...urls, batchSize: 15 })
      await first.call('getMetrics')
      const names = numbered(15)
      await Promise.all(names.map((name) => writer.queueWrite('session', running(), name)))
      const held = await proxies[where].hold(text)
      await first.pause()
      const pausedAt = performance.now()
      expect(await audit.pending()).toBeGreaterThan(0)

      const second = audit.queue()
      await second.drained()
      expect(performance.now() - pausedAt).toBeGreaterThan(9000) // Not sooner: it might have lived.
      await expectOnce(writer, names)
      held.release()
      first.resume()
      // It goes on with what it had in hand, and then with the rest like any other.
      const later = numbered(50, 'later')
      await second.close()
      for (const name of later) await writer.queueWrite('session', running(), name)
      await writer.drained()
      await expectOnce(writer, [...names, ...later])
      expect(await first.call('completed')).toBeGreaterThanOrEqual(later.length)
    },
    50_000,
  )
})

describe('three instances', () => {
  test('share the work, store each record once, and agree on the numbers', async () => {
    const queue = audit.queue({ batchSize: 20 })
    await queue.migrate()
    let ours = 0
    queue.on('completed', () => ours++)
    const others = [audit.worker({ batchSize: 20 }), audit.worker({ batchSize: 20 })]
    const metrics = () =>
      Promise.all([queue.getMetrics(), ...others.map((one) => one.call('getMetrics'))])
    await until(async () => (await audit.workers()) === 3)

    const names = numbered(2000)
    const writer = audit.queue({ worker: false })
    for (let from = 0; from < names.length; from += 50) {
      const some = names.slice(from, from + 50)
      await Promise.all(some.map((name) => writer.queueWrite('session', running(), name)))
    }
    await writer.drained()
    await expectOnce(writer, names)
    const shares = [ours, ...(await Promise.all(others.map((one) => one.call('completed'))))]
    expect(shares.reduce((a, b) => a + b)).toBe(2000)
    for (const share of shares) expect(share).toBeGreaterThan(50)
    const all = { ...DRAINED, completed: 2000 }
    expect(await metrics()).toEqual([all, all, all])

    // Also while there is something to count everywhere.
    const unlock = await audit.lockEvents()
    const more = numbered(200, 'more')
    await Promise.all(more.map((name) => writer.queueWrite('session', running(), name)))
    await until(async () => (await audit.consumers()).every(({ pending }) => pending > 0))
    const busy = await metrics()
    expect(busy[0].active).toBeGreaterThanOrEqual(6)
    expect(busy[0].active).toBeLessThanOrEqual(120)
    const expected = { ...DRAINED, active: busy[0].active, waiting: 200 - busy[0].active }
    for (const one of busy) expect(one).toEqual({ ...expected, completed: 2000 })
    await unlock()
    await writer.drained()
    await expectOnce(writer, [...names, ...more])
  })
})

describe('a worker leaves', () => {
  test('gracefully: the batch in hand is stored and settled first', async () => {
    const queue = audit.queue()
    await queue.migrate()
    const unlock = await audit.lockEvents()
    const names = numbered(10)
    await Promise.all(names.map((name) => queue.queueWrite('session', running(), name)))
    const inHand = await until(() => audit.pending())
    let closed = false
    const closing = queue.close().then(() => {
      closed = true
    })
    await sleep(300) // A close that does not wait takes less.
    expect(closed).toBe(false)
    expect(await audit.pending()).toBe(inHand)
    await unlock()
    await closing
    expect(await count()).toBe(inHand)
    expect(await audit.left()).toBe(10 - inHand)
    expect(await audit.pending()).toBe(0)
  })

  test('again and again under load: never with a record in hand', async () => {
    const writer = audit.queue({ worker: false })
    await writer.migrate()
    let over = false
    const names = []
    const traffic = Array.from({ length: 4 }, async (_, n) => {
      for (let m = 0; !over; m++) {
        await writer.queueWrite('session', running(), `event-${n}-${m}`)
        names.push(`event-${n}-${m}`)
      }
    })
    const left = []
    for (let round = 0; round < 25; round++) {
      const queue = audit.queue()
      const seen = names.length
      await until(() => names.length > seen + 20)
      await sleep(Math.random() * 10)
      await queue.close()
      left.push(await audit.pending())
    }
    over = true
    await Promise.all(traffic)
    expect(left).toEqual(left.map(() => 0))
    const last = audit.queue()
    await last.drained()
    await expectOnce(writer, names)
  })

  test('while PostgreSQL is gone for it alone: another stores at once what it had in hand', async () => {
    const proxy = await audit.postgresProxy()
    const leaving = audit.queue({ databaseUrl: proxy.url, backoffDelay: 20_000 })
    await leaving.migrate()
    proxy.mode = 'refuse'
    proxy.reset()
    const told = []
    leaving.on('retrying', (record) => told.push(record))
    await leaving.queueWrite('session', running(), 'delayed')
    await until(() => told.length === 1)
    const { delayed, active } = await leaving.getMetrics()
    expect({ delayed, active }).toEqual({ delayed: 1, active: 0 })
    const staying = audit.queue()
    await until(async () => (await audit.workers()) === 2)
    const left = performance.now()
    await leaving.close()
    await staying.drained()
    expect(performance.now() - left).toBeLessThan(6000) // Nobody had to find it abandoned.
    await expectOnce(staying, ['delayed'])
  })

  test('with a record that waits for another try: another tries it at once', async () => {
    await audit.queue({ worker: false }).migrate()
    await audit.rows(`
      DO $$ BEGIN CREATE ROLE hindered LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
      GRANT ALL ON ALL TABLES IN SCHEMA public TO hindered;
      CREATE FUNCTION hinder() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF current_user = 'hindered' THEN RAISE 'no'; END IF; RETURN NEW; END $$;
      CREATE TRIGGER hinder BEFORE INSERT ON sync_events FOR EACH ROW EXECUTE FUNCTION hinder()`)
    const url = new URL(audit.databaseUrl)
    url.username = 'hindered'
    const leaving = audit.queue({ databaseUrl: url.href, backoffDelay: 20_000 })
    const told = []
    leaving.on('retrying', (_record, error) => told.push(error.sqlstate))
    await leaving.queueWrite('session', running(), 'held')
    await until(() => told.length === 1)
    expect(told).toEqual(['P0001'])
    const staying = audit.queue()
    await until(async () => (await audit.workers()) === 2)
    const left = performance.now()
    await leaving.close()
    await staying.drained()
    expect(performance.now() - left).toBeLessThan(6000)
    await expectOnce(staying, ['held'])
  })
})
