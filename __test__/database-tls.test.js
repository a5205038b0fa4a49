'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { Audit, running } = require('./harness/audit.js')
const { runScript } = require('./harness/child.js')
const { recordingLogger } = require('./harness/recording-logger.js')

const audit = Audit.use()

const files = path.join(__dirname, 'harness', 'tls')
const certificate = path.join(files, 'cert.pem')
const selfSigned = path.join(files, 'self-signed.pem')
const key = path.join(files, 'key.pem')

/** Turns TLS on, with this certificate; off without one. */
async function serve(file) {
  const { postgres } = audit
  if (file) {
    for (const [name, source] of [
      ['server.crt', file],
      ['server.key', key],
      ['root.crt', certificate],
    ]) {
      const target = path.join(postgres.directory, name)
      const { uid, gid } = fs.statSync(postgres.directory)
      fs.writeFileSync(target, fs.readFileSync(source))
      fs.chmodSync(target, 0o600) // PostgreSQL wants a key that nobody else can read.
      fs.chownSync(target, uid, gid)
    }
    await postgres.query(postgres.url, "ALTER SYSTEM SET ssl_ca_file = 'root.crt'")
  }
  await postgres.query(postgres.url, `ALTER SYSTEM SET ssl = ${file ? 'on' : 'off'}`)
  await postgres.kill()
  await postgres.up()
}

/** The URL of this test's database, with `localhost`, which the certificates name. */
function urlFor(query = '', host = 'localhost', user = 'postgres') {
  const { port, pathname } = new URL(audit.databaseUrl)
  return `postgres://${user}@${host}:${port}${pathname}${query}`
}

/** The result of connecting: `encrypted`, `plain`, or the reason of the failure. */
async function outcomeOf(databaseUrl, ssl) {
  const queue = audit.queue({ databaseUrl, ssl, worker: false })
  try {
    await queue.migrate()
  } catch (error) {
    return error.message
  }
  const [{ ssl: isEncrypted }] = await audit.rows(
    `SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
      WHERE application_name = 'synckairos-state' AND datname = current_database()`,
  )
  await queue.close()
  return isEncrypted ? 'encrypted' : 'plain'
}

beforeAll(async () => {
  await serve(certificate)
  const { postgres } = audit
  const file = path.join(postgres.directory, 'pg_hba.conf')
  const lines = ['hostssl all localhost all cert', 'host all localhost all reject']
  lines.push('hostssl all bound all scram-sha-256')
  fs.writeFileSync(file, `${lines.join('\n')}\n${fs.readFileSync(file, 'utf8')}`)
  await postgres.query(postgres.url, 'CREATE ROLE localhost SUPERUSER LOGIN')
  await postgres.query(
    postgres.url,
    "SET password_encryption = 'scram-sha-256'; CREATE ROLE bound SUPERUSER LOGIN PASSWORD 'secret'",
  )
  await postgres.query(postgres.url, 'SELECT pg_reload_conf()')
})

describe('a server with TLS', () => {
  const ca = fs.readFileSync(certificate, 'utf8')

  test.each([
    ['', undefined, /^plain$/],
    ['?sslmode=disable', undefined, /^plain$/],
    ['?ssl=0', undefined, /^plain$/],
    ['?sslmode=no-verify', undefined, /^encrypted$/],
    ['?ssl=no-verify', undefined, /^encrypted$/],
    ['?uselibpqcompat=true&sslmode=require', undefined, /^encrypted$/],
    ['?uselibpqcompat=true&sslmode=prefer', undefined, /^encrypted$/],
    ['?ssl=TRUE', undefined, /certificate.*`ssl: \{ ca \}`/],
    ['?ssl=require', undefined, /certificate/],
    ['?sslmode=allow', undefined, /certificate/],
    ['?sslmode=prefer', undefined, /certificate/],
    ['?sslmode=require', undefined, /certificate/],
    ['?sslmode=verify-full&sslrootcert=system', undefined, /certificate/],
    [`?sslrootcert=${certificate}`, undefined, /^encrypted$/],
    [`?sslmode=verify-full&sslrootcert=${certificate}`, undefined, /^encrypted$/],
    ['', true, /certificate/],
    ['?sslmode=disable', { ca }, /^encrypted$/],
    ['', { ca: [ca] }, /^encrypted$/],
    ['', { ca: Buffer.from(ca) }, /^encrypted$/],
    ['', { ca, servername: 'elsewhere' }, /certificate/],
    ['', { rejectUnauthorized: false }, /^encrypted$/],
    ['?sslmode=no-verify', false, /^plain$/],
  ])('case %#: %s', async (query, ssl, expected) => {
    expect(await outcomeOf(urlFor(query), ssl)).toMatch(expected)
  })

  test('is verified by its name, unless the URL says otherwise', async () => {
    const root = `sslrootcert=${certificate}`
    const away = (query) => outcomeOf(urlFor(query, '127.0.0.1'), undefined)
    // The certificate names 127.0.0.1 as well; as a host of another name it is refused.
    expect(await away(`?${root}`)).toBe('encrypted')
    const named = { ca, servername: 'elsewhere' }
    expect(await outcomeOf(urlFor(), named)).toMatch(/NotValidForName|not valid for name/)
  })

  test('lets a client in by its certificate', async () => {
    const url = (query) => urlFor(query, 'localhost', 'localhost')
    const own = `sslmode=no-verify&sslcert=${certificate}&sslkey=${key}`
    expect(await outcomeOf(url(`?${own}`))).toBe('encrypted')
    const cert = fs.readFileSync(certificate)
    expect(await outcomeOf(url(), { ca, cert, key: fs.readFileSync(key) })).toBe('encrypted')
    expect(await outcomeOf(url('?sslmode=no-verify'))).toMatch(/certificate/)
  })

  test.each(['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'PGSSLROOTCERT'])(
    'whose authority %s names is verified',
    async (variable) => {
      const script = `
        const { DBWriteQueue } = require('.')
        const { REDIS_URL, DB } = process.env
        const queue = new DBWriteQueue(REDIS_URL, { databaseUrl: DB, ssl: true, worker: false })
        queue.migrate().then(() => 'done', String).then(console.log).then(() => queue.close())`
      const env = { REDIS_URL: audit.server.url, DB: urlFor(), [variable]: certificate }
      expect(await runScript(script, { env })).toMatchObject({ stdout: 'done\n', stderr: '' })
    },
  )
})

test.each([
  ['NODE_EXTRA_CA_CERTS', 'sslrootcert=system'],
  ['SSL_CERT_FILE', 'sslmode=verify-full&sslrootcert=system'],
])('sslrootcert=system trusts those of %s (%s)', async (variable, query) => {
  const script = `
    const { DBWriteQueue } = require('.')
    const { REDIS_URL, DB } = process.env
    const queue = new DBWriteQueue(REDIS_URL, { databaseUrl: DB, worker: false })
    queue.migrate().then(() => 'done', String).then(console.log).then(() => queue.close())`
  const env = { REDIS_URL: audit.server.url, DB: urlFor(`?${query}`), [variable]: certificate }
  expect(await runScript(script, { env })).toMatchObject({ stdout: 'done\n', stderr: '' })
})

test.each(['require', 'prefer', 'disable'])(
  'a user with a password logs in with channel_binding=%s',
  async (binding) => {
    const query = `?sslmode=require&channel_binding=${binding}`
    const url = urlFor(query, '127.0.0.1', 'bound:secret')
    expect(await outcomeOf(url, { ca: fs.readFileSync(certificate) })).toBe('encrypted')
    const wrong = urlFor(query, '127.0.0.1', 'bound:wrong')
    expect(await outcomeOf(wrong, { ca: fs.readFileSync(certificate) })).toMatch(/password/)
  },
)

describe('DATABASE_SSL=true', () => {
  const script = `
    const { DBWriteQueue } = require('.')
    const warnings = []
    process.on('warning', ({ code, message }) => warnings.push({ code, message }))
    const { REDIS_URL, DB } = process.env
    const queues = [1, 2].map((n) => new DBWriteQueue(REDIS_URL, { databaseUrl: DB, queueName: 'q' + n }))
    const state = { session_id: 'a', sync_mode: 'global', version: 1 }
    ;(async () => {
      await queues[0].migrate()
      await queues[0].queueWrite('a', state, 'session_updated')
      await queues[0].drained()
      await Promise.all(queues.map((queue) => queue.close()))
      console.log(JSON.stringify(warnings))
    })()`

  test('stores records, encrypted and unverified, and the process is warned once', async () => {
    const env = { REDIS_URL: audit.server.url, DB: urlFor(), DATABASE_SSL: 'true' }
    const { stdout } = await runScript(script, { env })
    const warnings = JSON.parse(stdout)
    expect(warnings).toHaveLength(1)
    expect(warnings[0].code).toBe('SYNCKAIROS_DATABASE_UNVERIFIED')
    expect(warnings[0].message).toContain('DATABASE_SSL=verify')
    expect(await audit.events()).toHaveLength(1)
  })

  test('warns the logger in place of the process', async () => {
    process.env.DATABASE_SSL = 'true'
    const logger = recordingLogger()
    try {
      audit.queue({ logger, worker: false, databaseUrl: urlFor() })
      audit.queue({ logger, worker: false, databaseUrl: urlFor('?sslmode=no-verify') })
    } finally {
      delete process.env.DATABASE_SSL
    }
    expect(logger.told.warn).toHaveLength(1)
    expect(logger.told.warn[0].message).toContain('DATABASE_SSL=verify')
  })
})

test('a self-signed certificate that says it is an authority is trusted if it is given', async () => {
  await serve(selfSigned)
  const ca = fs.readFileSync(selfSigned)
  expect(await outcomeOf(urlFor(), { ca })).toBe('encrypted')
  expect(await outcomeOf(urlFor('?sslmode=require'))).toMatch(/certificate/)
  const root = `sslrootcert=${selfSigned}`
  // It has no address among its names.
  expect(await outcomeOf(urlFor(`?${root}`, '127.0.0.1'))).toMatch(/certificate/)
  const anyName = `?uselibpqcompat=true&sslmode=verify-ca&${root}`
  expect(await outcomeOf(urlFor(anyName, '127.0.0.1'))).toBe('encrypted')
})

test('a server without TLS is never sent anything in plain text where TLS was asked for', async () => {
  await serve()
  for (const query of ['?ssl=TRUE', '?sslmode=no-verify', '?sslmode=prefer']) {
    expect(await outcomeOf(urlFor(query))).toMatch(/does not support TLS/)
  }
  expect(await outcomeOf(urlFor('?uselibpqcompat=true&sslmode=prefer'))).toBe('plain')
  const queue = audit.queue({ databaseUrl: urlFor() })
  await queue.queueWrite('a', running({ session_id: 'a' }), 'session_updated')
  await queue.drained()
})
