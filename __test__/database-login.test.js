'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { inspect } = require('node:util')
const { Audit, running } = require('./harness/audit.js')
const { until } = require('./harness/until.js')

const audit = Audit.use()

const EMOJI = '🐘🔑 ü%/#'

beforeAll(async () => {
  const { postgres } = audit
  const file = path.join(postgres.directory, 'pg_hba.conf')
  const methods = { scram: 'scram-sha-256', hashed: 'md5', clear: 'password' }
  const lines = Object.entries(methods).map(([user, method]) => `host all ${user} all ${method}`)
  fs.writeFileSync(file, `${lines.join('\n')}\n${fs.readFileSync(file, 'utf8')}`)
  for (const user of Object.keys(methods)) {
    const encryption = user === 'hashed' ? 'md5' : 'scram-sha-256'
    await postgres.query(
      postgres.url,
      `SET password_encryption = '${encryption}'; CREATE ROLE ${user} SUPERUSER LOGIN PASSWORD '${EMOJI}'`,
    )
  }
  await postgres.query(postgres.url, 'SELECT pg_reload_conf()')
})

/** The URL of the database for a user. */
function urlFor(user, password, query = '') {
  const { host, pathname } = new URL(audit.databaseUrl)
  return `postgres://${user}:${password}@${host}${pathname}${query}`
}

describe.each(['scram', 'hashed', 'clear'])('the user %s', (user) => {
  test.each([
    ['escaped', encodeURIComponent(EMOJI)],
    ['as it is, but for / and #', EMOJI.replace('/', '%2F').replace('#', '%23')],
  ])('logs in with a password of emoji (%s)', async (_how, password) => {
    const queue = audit.queue({ databaseUrl: urlFor(user, password) })
    await queue.migrate()
    const [{ usename }] = await audit.rows(
      "SELECT usename FROM pg_stat_activity WHERE application_name = 'synckairos-state'",
    )
    expect(usename).toBe(user)
  })

  test('is refused with a wrong password, of which no error has a character', async () => {
    const queue = audit.queue({ databaseUrl: urlFor(user, encodeURIComponent(`${EMOJI}x`)) })
    const error = await queue.migrate().catch((error) => error)
    expect(error).toMatchObject({ name: 'DatabaseError', sqlstate: '28P01' })
    expect(inspect(error).replace(/\n {4}at .*/g, '')).not.toMatch(/[🐘🔑]/u)
  })
})

test('options reach the server as they are', async () => {
  await audit.rows('CREATE SCHEMA "a, b"')
  const options = encodeURIComponent('-c search_path=a\\,\\ b,"a,\\ b" -c jit=off')
  const queue = audit.queue({
    databaseUrl: urlFor('scram', encodeURIComponent(EMOJI), `?options=${options}`),
  })
  await queue.migrate()
  const rows = await audit.rows("SELECT schemaname FROM pg_tables WHERE tablename = 'sync_events'")
  expect(rows).toEqual([{ schemaname: 'a, b' }])
})

test('a schema in the URL has the tables', async () => {
  await audit.rows('CREATE SCHEMA "Audit"')
  const queue = audit.queue({
    databaseUrl: `${audit.databaseUrl}?schema=Audit&pgbouncer=true&connection_limit=1`,
  })
  await queue.migrate()
  await queue.queueWrite('a', running({ session_id: 'a' }), 'session_updated')
  await queue.drained()
  expect(await audit.rows('SELECT session_id FROM "Audit".sync_events')).toEqual([
    { session_id: 'a' },
  ])
  const connections = await audit.rows(
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'synckairos-state' AND datname = current_database()",
  )
  expect(connections).toHaveLength(1)
})

test('a closed queue leaves no connection', async () => {
  const queue = audit.queue()
  await queue.migrate()
  await queue.close()
  await until(async () => {
    const left = await audit.rows(
      "SELECT pid FROM pg_stat_activity WHERE application_name = 'synckairos-state' AND datname = current_database()",
    )
    return left.length === 0
  })
})
