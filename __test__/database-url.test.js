'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { inspect } = require('node:util')
const { parseIntoClientConfig } = require('pg-connection-string')
const ConnectionParameters = require('pg/lib/connection-parameters')
const { DBWriteQueue, InvalidStateError } = require('..')
const { databaseSettings } = require('../lib/audit/database.js')

const certificate = path.join(__dirname, 'harness', 'tls', 'cert.pem')
const key = path.join(__dirname, 'harness', 'tls', 'key.pem')
const PEM = '-----BEGIN '

/** What the core gets for a URL. */
function settingsOf(databaseUrl, env = {}, options = {}) {
  return databaseSettings({ databaseUrl, ...options }, env).database.postgres
}

/** What `pg` gets, in the same words. */
function pgSettings(url) {
  const { host, port, user, password, database, options, application_name } =
    parseIntoClientConfig(url)
  const { ssl } = new ConnectionParameters(url)
  return {
    host: host || 'localhost',
    port: Number(port || 5432),
    user: user || os.userInfo().username,
    password: password || undefined,
    database: database || user || os.userInfo().username,
    options: options || undefined,
    applicationName: application_name || 'synckairos-state',
    isEncrypted: Boolean(ssl),
    isVerified: Boolean(ssl) && ssl.rejectUnauthorized !== false && ssl !== 'no-verify',
    isNameVerified: Boolean(ssl) && !ssl.checkServerIdentity,
    files: [ssl?.ca, ssl?.cert, ssl?.key].map((file) => file?.startsWith(PEM) ?? false),
  }
}

function ourSettings(url) {
  const { hosts, login, tls } = settingsOf(url)
  return {
    ...hosts[0],
    user: login.user,
    password: login.password,
    database: login.database,
    options: login.options,
    applicationName: login.applicationName,
    isEncrypted: tls !== undefined,
    isVerified: tls?.trust.verify ?? false,
    isNameVerified: tls !== undefined && !tls.trust.anyName,
    files: ['ca', 'cert', 'key'].map((name) => tls?.trust[name]?.startsWith(PEM) ?? false),
  }
}

beforeAll(() => jest.spyOn(process, 'emitWarning').mockImplementation(() => {}))
afterAll(() => jest.restoreAllMocks())

describe('a URL means what it means to pg', () => {
  const urls = [
    'postgres://h',
    'postgresql://u@h/d',
    'postgres://u:p@h:6543/d',
    'postgres://u:p@10.0.0.1/d',
    'postgres://u:p@[::1]:5433/d',
    'postgres://u%40x:p%2F%3A%23%3F%40@h/d%20b',
    'postgres://u:p@ss@h/d',
    'postgres://u:50%off@h/d',
    'postgres://u:with space@h/d',
    'postgres://u:a:b@h/d',
    'postgres://u:😀😀@h/d',
    'postgres://u:%F0%9F%98%80@h/d',
    'postgres:///d?host=/tmp&port=5433&user=u',
    // Hosted: Neon, Supabase (direct, pooled), RDS, Cloud SQL, Azure, Heroku, Prisma.
    'postgresql://alex:npg_AbC@ep-cool-123-pooler.us-east-2.aws.neon.tech/neondb?sslmode=require&channel_binding=require',
    'postgresql://postgres:pw@db.abcdefgh.supabase.co:5432/postgres',
    'postgresql://postgres.abcdefgh:pw@aws-0-eu-central-1.pooler.supabase.com:6543/postgres?pgbouncer=true',
    'postgres://admin:pw@prod.abc.eu-west-1.rds.amazonaws.com:5432/app?sslmode=no-verify',
    'postgres://u:p@/db?host=/cloudsql/project:region:instance',
    'postgres://u%40server:p@server.postgres.database.azure.com/postgres?sslmode=require',
    'postgres://u:p@ec2-1-2-3-4.compute-1.amazonaws.com:5432/d?ssl=true',
    'postgresql://u:p@h:5432/d?connect_timeout=10&pool_timeout=5&application_name=my%20app',
    'postgres://u:p@h/d?options=-c search_path=a,\\ b',
    'postgres://u:p@h/d?options=-c%20search_path%3Da%2C%5C%20b%20--jit%3Doff',
    'postgres://u:p@h/d?options=project%3Dep-cool-123',
    ...['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'].map(
      (mode) => `postgres://h/d?sslmode=${mode}`,
    ),
    ...['true', '1', '0', 'TRUE', 'require', 'no-verify'].map((ssl) => `postgres://h/d?ssl=${ssl}`),
    `postgres://h/d?sslrootcert=${certificate}`,
    `postgres://h/d?sslcert=${certificate}&sslkey=${key}`,
    `postgres://h/d?ssl=no-verify&sslrootcert=${certificate}`,
    `postgres://h/d?sslmode=no-verify&sslrootcert=${certificate}`,
    'postgres://h/d?uselibpqcompat=true&sslmode=require',
    'postgres://h/d?uselibpqcompat=true&sslmode=prefer',
    'postgres://h/d?uselibpqcompat=true&sslmode=verify-full',
    `postgres://h/d?uselibpqcompat=true&sslmode=require&sslrootcert=${certificate}`,
    `postgres://h/d?uselibpqcompat=true&sslmode=verify-ca&sslrootcert=${certificate}`,
  ]

  test.each(urls)('%s', (url) => {
    expect(ourSettings(url)).toEqual(pgSettings(url))
  })
})

describe('a URL means what it means to libpq and Prisma', () => {
  test('several hosts are several hosts', () => {
    const { hosts } = settingsOf('postgres://u:p@a,b:6432,[::1]:7/d')
    expect(hosts).toEqual([
      { host: 'a', port: 5432 },
      { host: 'b', port: 6432 },
      { host: '::1', port: 7 },
    ])
    const byQuery = settingsOf('postgres://u:p@/d?host=a,/tmp&port=1,2').hosts
    expect(byQuery).toEqual([
      { host: 'a', port: 1 },
      { host: '/tmp', port: 2 },
    ])
  })

  test('a schema, the size of the pool and a time limit', () => {
    const url = 'postgres://h/d?schema=audit&connection_limit=1&connect_timeout=15'
    expect(settingsOf(url)).toMatchObject({
      schema: 'audit',
      poolMin: 1,
      poolMax: 1,
      connectTimeoutMs: 15_000,
    })
    expect(settingsOf(url, {}, { poolMax: 3 })).toMatchObject({ poolMin: 2, poolMax: 3 })
    expect(settingsOf('postgres://h')).toMatchObject({ poolMax: 20, connectTimeoutMs: 5000 })
  })

  test('TLS if the server offers it, only with uselibpqcompat', () => {
    const { tls } = settingsOf('postgres://h/d?uselibpqcompat=true&sslmode=prefer')
    expect(tls).toMatchObject({ isRequired: false })
    expect(settingsOf('postgres://h/d?sslmode=prefer').tls).toMatchObject({ isRequired: true })
  })

  test('the authorities of the system', () => {
    const { tls } = settingsOf('postgres://h/d?sslmode=verify-full&sslrootcert=system')
    expect(tls.trust).toMatchObject({ verify: true, ca: undefined })
    expect(tls.trust.others).toContain(PEM)
  })
})

describe('the environment', () => {
  test('fills in what the URL does not say', () => {
    const env = { PGHOST: 'e', PGPORT: '7', PGUSER: 'eu', PGPASSWORD: 'ep', PGDATABASE: 'ed' }
    Object.assign(env, { PGOPTIONS: '-c jit=off', PGAPPNAME: 'app', PGSSLMODE: 'require' })
    expect(settingsOf(undefined, env)).toMatchObject({
      hosts: [{ host: 'e', port: 7 }],
      login: {
        user: 'eu',
        password: 'ep',
        database: 'ed',
        options: '-c jit=off',
        applicationName: 'app',
      },
      tls: { trust: { verify: true } },
    })
    const url = 'postgres://u:p@h:1/d?options=-c%20a%3Db&application_name=x&sslmode=disable'
    expect(settingsOf(url, env)).toMatchObject({
      hosts: [{ host: 'h', port: 1 }],
      login: { user: 'u', password: 'p', database: 'd', options: '-c a=b', applicationName: 'x' },
      tls: undefined,
    })
  })

  test.each([
    ['true', 'postgres://h', { verify: false }, true],
    ['true', 'postgres://h?sslmode=disable', { verify: false }, true],
    ['true', 'postgres://h?sslmode=verify-full', { verify: true }, false],
    ['true', 'postgres://h?sslmode=no-verify', { verify: false }, false],
    ['verify', 'postgres://h', { verify: true }, false],
    ['verify', 'postgres://h?sslmode=no-verify', { verify: true }, false],
    ['no-verify', 'postgres://h?sslmode=verify-full', { verify: false }, false],
    ['false', 'postgres://h', undefined, false],
    ['', 'postgres://h?ssl=true', { verify: true }, false],
  ])('DATABASE_SSL=%s with %s', (variable, databaseUrl, trust, isUnverifiedByDefault) => {
    const settings = databaseSettings({ databaseUrl }, { DATABASE_SSL: variable })
    expect(settings.isUnverifiedByDefault).toBe(isUnverifiedByDefault)
    expect(settings.database.postgres.tls?.trust).toEqual(trust && expect.objectContaining(trust))
  })

  test.each(['yes', 'TRUE', 'require', '1'])('DATABASE_SSL=%s is refused', (variable) => {
    expect(() => settingsOf('postgres://h', { DATABASE_SSL: variable })).toThrow(
      'DATABASE_SSL: it is none of true, verify, no-verify and false',
    )
  })
})

describe('the option ssl', () => {
  const pem = fs.readFileSync(certificate, 'utf8')

  test('takes certificates in PEM, one or several, as text or bytes', () => {
    const url = 'postgres://h?sslmode=disable'
    const tlsOf = (ssl) => settingsOf(url, {}, { ssl }).tls
    expect(tlsOf({ ca: [pem, Buffer.from(pem)] }).trust).toMatchObject({
      verify: true,
      ca: `${pem}\n${pem}`,
    })
    const own = { cert: pem, key: fs.readFileSync(key), servername: 'db.internal' }
    expect(tlsOf(own)).toMatchObject({ serverName: 'db.internal', trust: { cert: pem } })
    expect(tlsOf({ rejectUnauthorized: false }).trust).toMatchObject({ verify: false })
    expect(tlsOf(false)).toBeUndefined()
  })

  test('keeps the certificates that the URL names', () => {
    const url = `postgres://h?sslmode=no-verify&sslrootcert=${certificate}`
    expect(settingsOf(url, {}, { ssl: true }).tls.trust).toMatchObject({ verify: true, ca: pem })
  })

  test.each([
    [{ rejectUnauthorised: false }, 'ssl.rejectUnauthorised'],
    [{ rejectUnauthorized: 'no' }, 'ssl.rejectUnauthorized'],
    [{ ca: 'hunter2' }, 'ssl.ca'],
    [{ cert: pem }, 'ssl'],
    [{ servername: 5 }, 'ssl.servername'],
    ['require', 'ssl'],
  ])('is refused by name (%#)', (ssl, field) => {
    expect(() => new DBWriteQueue('redis://127.0.0.1:1', { ssl })).toThrow(InvalidStateError)
    expect(() => settingsOf('postgres://h', {}, { ssl })).toThrow(`Invalid ${field}: `)
  })

  test('a certificate that is none is refused, and not shown', () => {
    const broken = '-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----'
    const make = () =>
      new DBWriteQueue('redis://127.0.0.1:1', { ssl: { ca: broken }, databaseUrl: 'postgres://h' })
    expect(make).toThrow('Invalid ssl: ca')
    expect(make).not.toThrow('hunter2')
  })
})

describe('what is wrong with a URL is said with its remedy, and without a part of it', () => {
  test.each([
    ['"postgres://u:hunter2@h/d"', 'remove the quotes'],
    ["'postgres://u:hunter2@h/d'", 'remove the quotes'],
    ['mysql://u:hunter2@h/d', 'does not begin with postgres://'],
    ['u:hunter2@h/d', 'does not begin with postgres://'],
    ['postgres://u:hun#ter2@h/d', 'write # as %23'],
    ['postgres://u:hunter2@h/d?application_name=a#b', 'write # as %23'],
    ['postgres://u:hunter2/@h/d', 'write / as %2F'],
    ['postgres://u:12/hunter2@h/d', 'write / as %2F'],
    ['postgres://u:hunter2/x@y@h/d', 'write / as %2F'],
    ['postgres://u:hunter2?@h/d', 'write ? as %3F'],
    ['postgres://u:hunter2%FF@h/d', 'write % as %25'],
    ['postgres://u:hunter2@h:x/d', 'port'],
    ['postgres://u:hunter2@h:99999/d', 'port'],
    ['postgres://u:hunter2@a,b/d?port=1,2,3', 'another number of ports'],
    ['postgres://u:hunter2@h/d?sslmode=sideways', 'Invalid sslmode'],
    ['postgres://u:hunter2@h/d?ssl=hunter2', 'Invalid ssl'],
    ['postgres://u:hunter2@h/d?uselibpqcompat=true&sslmode=verify-ca', 'needs sslrootcert'],
    [
      'postgres://u:hunter2@h/d?uselibpqcompat=true&sslmode=verify-ca&sslrootcert=system',
      'use verify-full',
    ],
    [
      'postgres://u:hunter2@h/d?uselibpqcompat=true&sslmode=require&sslrootcert=system',
      'use verify-full',
    ],
    ['postgres://u:hunter2@h/d?sslrootcert=/nowhere/hunter2', 'Invalid sslrootcert'],
    ['postgres://u:hunter2@h/d?sslnegotiation=hunter2', 'Invalid sslnegotiation'],
    ['postgres://u:hunter2@h/d?sslnegotiation=direct&sslmode=disable', 'it needs TLS'],
    ['postgres://u:hunter2@h/d?connect_timeout=hunter2', 'Invalid connect_timeout'],
    ['postgres://u:hunter2@h/d?connection_limit=hunter2', 'connection_limit'],
  ])('%s', (databaseUrl, remedy) => {
    let error
    try {
      new DBWriteQueue('redis://127.0.0.1:1', { databaseUrl })
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(InvalidStateError)
    expect(error.message).toContain(remedy)
    expect(inspect(error).replace(/\n {4}at .*/g, '')).not.toMatch(/hunter2|ter2/)
  })
})
