'use strict'

// What the commands say of servers: of their settings, their rights, and that they are away.

const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { Audit } = require('./harness/audit.js')
const { ClusterGroup } = require('./harness/cluster.js')
const { PROGRAM, run, runJson } = require('./harness/command-line.js')
const { blocksOf, commandsOf } = require('./harness/documentation.js')
const { RedisServer, freePort } = require('./harness/redis.js')
const { createdBy } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const root = path.join(__dirname, '..')
const CERTIFICATE = path.join(__dirname, 'harness', 'tls', 'cert.pem')
const KEY = path.join(__dirname, 'harness', 'tls', 'key.pem')
const audit = Audit.use()
let env
beforeEach(async () => {
  env = { REDIS_URL: audit.server.url, DATABASE_URL: audit.databaseUrl }
  await audit.queue({ worker: false }).migrate()
})

const call = (...args) => run([...args, '--queue', audit.queueName], env)
const callJson = (...args) => runJson([...args, '--queue', audit.queueName], env)

/** What the doctor finds: texts, each after its level. */
async function findings() {
  const { code, json } = await callJson('doctor')
  const found = json.findings.map(({ level, what }) => `${level}: ${what}`)
  expect(code).toBe(json.findings.some(({ level }) => level !== 'unknown') ? 3 : 0)
  return found
}

/** Changes settings of the Redis, until the test ends. */
async function configure(settings) {
  for (const [name, value] of Object.entries(settings)) {
    const [, before] = await audit.redis.config('GET', name)
    await audit.redis.config('SET', name, value)
    audit.keep({ close: () => audit.redis.config('SET', name, before) })
  }
}

describe('doctor', () => {
  const ALONE = /^warning: .* has no replica/

  /** A worker that Redis has heard of. */
  async function worker() {
    audit.queue()
    await until(async () => (await audit.workers()) > 0)
  }

  test('finds nothing but the missing replica where all is well', async () => {
    await worker()
    expect(await findings()).toEqual([expect.stringMatching(ALONE)])
  })

  test.each([
    [{ appendonly: 'no' }, /^danger: .* persists nothing/],
    [{ appendonly: 'no', save: '60 1' }, /^warning: .* persists only snapshots/],
    [{ appendfsync: 'no' }, /^warning: .* appendfsync no/],
    [{ 'maxmemory-policy': 'allkeys-lru' }, /^warning: .* maxmemory-policy allkeys-lru/],
    [{ 'maxmemory-policy': 'allkeys-lru', maxmemory: '1gb' }, /^danger: .* it evicts/],
  ])('finds %j', async (settings, finding) => {
    await configure(settings)
    expect(await findings()).toContainEqual(expect.stringMatching(finding))
  })

  test('finds that memory is almost full', async () => {
    const [, used] = /used_memory:(\d+)/.exec(await audit.redis.info('memory'))
    await configure({ maxmemory: String(Math.round(1.1 * Number(used))) })
    expect(await findings()).toContainEqual(expect.stringMatching(/^warning: .* % of maxmemory/))
  })

  test('finds that a snapshot could not be written', async () => {
    const inTheWay = path.join(audit.server.directory, 'dump.rdb')
    fs.mkdirSync(inTheWay)
    audit.keep({
      close: async () => {
        fs.rmdirSync(inTheWay)
        await audit.redis.bgsave()
        await until(async () =>
          /rdb_last_bgsave_status:ok/.test(await audit.redis.info('persistence')),
        )
      },
    })
    await audit.redis.bgsave()
    await until(async () =>
      /rdb_last_bgsave_status:err/.test(await audit.redis.info('persistence')),
    )
    const found = await findings()
    expect(found).toContainEqual(
      expect.stringMatching(/^danger: .* could not write its last snapshot/),
    )
  })

  test('finds that nobody stores records', async () => {
    expect(await findings()).toContainEqual(
      expect.stringMatching(/^warning: no worker was heard of/),
    )
  })

  test('finds a replica that nobody has to wait for', async () => {
    await worker()
    const replica = await RedisServer.start(['--replicaof', `127.0.0.1 ${audit.server.port}`])
    audit.keep({ close: () => replica.stop() })
    await until(async () => /connected_slaves:1/.test(await audit.redis.info('replication')))
    expect(await findings()).toEqual([expect.stringMatching(/^warning: .*min-replicas-to-write 0/)])
    await configure({ 'min-replicas-to-write': '1' })
    expect(await findings()).toEqual([])
  })

  test('finds that Redis is away, and looks at the database nevertheless', async () => {
    await audit.rows('DROP TABLE sync_sessions')
    env.REDIS_URL = 'redis://service:hunter2@127.0.0.1:1'
    const { code, stdout, stderr } = await call('doctor', '--timeout', '1')
    expect(stdout).toMatch(/^danger\t.*127\.0\.0\.1:1: connection refused/m)
    expect(stdout).toMatch(/^danger\tthe table sync_sessions is missing/m)
    expect(stdout + stderr).not.toMatch(/hunter2/)
    expect(code).toBe(3)
  })

  test('finds missing tables', async () => {
    await audit.rows('DROP TABLE sync_sessions')
    expect(await findings()).toContain(
      'danger: the table sync_sessions is missing: no record can be stored',
    )
  })

  test('finds missing rights of the database', async () => {
    await audit.rows(
      `CREATE ROLE half LOGIN; GRANT USAGE ON SCHEMA public TO half;
       GRANT SELECT ON sync_events TO half; GRANT SELECT, INSERT, UPDATE ON sync_sessions TO half`,
    )
    audit.keep({ close: () => audit.rows('DROP OWNED BY half; DROP ROLE half') })
    const url = new URL(audit.databaseUrl)
    url.username = 'half'
    env.DATABASE_URL = url.href
    expect(await findings()).toContain(
      'danger: the user of the database lacks INSERT on sync_events',
    )
  })

  test('finds a database that is away', async () => {
    env.DATABASE_URL = 'postgres://user:secret@127.0.0.1:1/app'
    expect(await findings()).toContainEqual(expect.stringMatching(/^danger: .*127\.0\.0\.1:1/))
  })

  test('finds what BullMQ has left', async () => {
    await audit.redis.rpush(`bull:${audit.queueName}:wait`, '1', '2')
    expect(await findings()).toContainEqual(expect.stringMatching(/^warning: 2 jobs of BullMQ/))
  })

  test('finds the rights that the user of Redis lacks, and no others', async () => {
    const [sessions, repeats, records] = blocksOf('docs/operations.md')
      .filter(({ language }) => language === 'sh')
      .flatMap(commandsOf)
      .map((command) => command.match(/[~&+][^\s']+/g))
    const user = async (...rules) => {
      await audit.redis.acl('SETUSER', 'service', 'reset', 'on', '>secret', ...rules.flat())
      env.REDIS_URL = `redis://service:secret@127.0.0.1:${audit.server.port}`
      return (await findings()).filter((found) => /the user of Redis/.test(found))
    }
    expect(await user(sessions, repeats, records)).toEqual([])
    expect(await user(sessions, records)).toEqual([
      expect.stringMatching(/CLIENT KILL.*safe repeats/),
    ])
    expect(await user(sessions, repeats, records, '-zadd')).toEqual([
      expect.stringMatching(
        /^danger: the user of Redis may not ZADD \S+ 1 x: needed for the audit$/,
      ),
    ])
  })

  test('names pages and sections that are there', async () => {
    const { redisFindings } = require('../bin/checks/redis.js')
    const { bullmqFindings, databaseFindings, queueFindings } = require('../bin/checks/audit.js')
    const node = {
      address: 'a:1',
      product: 'Redis',
      role: 'master',
      maxMemoryBytes: 1,
      usedMemoryBytes: 1,
    }
    const all = [
      {
        ...node,
        version: '5.0.1',
        evictionPolicy: 'allkeys-lru',
        appendOnly: false,
        save: '',
        replicas: 0,
      },
      {
        ...node,
        version: null,
        evictionPolicy: null,
        appendOnly: null,
        replicas: 1,
        minReplicasToWrite: 0,
      },
      { ...node, version: '7.0.0', lastSnapshotWorked: false, lastAppendWorked: false },
    ]
    const database = {
      error: null,
      database: 'h:1/d',
      version: '9.6',
      clockSkewMs: 9999,
      missingTables: ['t'],
    }
    const found = [
      ...redisFindings({ nodes: all, topology: 'one server', clockSkewMs: -9999 }),
      ...queueFindings({ reasons: ['r'], dead: 1, workers: null }),
      ...queueFindings({ reasons: [], dead: 0, workers: [] }),
      ...databaseFindings({ ...database, missingRights: ['r'] }),
      ...databaseFindings(null),
      ...databaseFindings({ error: 'away' }),
      ...bullmqFindings({ wait: 1 }),
    ]
    expect(found.length).toBeGreaterThan(18)
    for (const { page } of found) {
      const [, file, section] = /\/blob\/main\/(docs\/[\w-]+\.md)(?:#(.*))?$/.exec(page)
      const text = fs.readFileSync(path.join(root, file), 'utf8')
      const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
        heading
          .toLowerCase()
          .replaceAll(/[^\w\- ]/g, '')
          .replaceAll(' ', '-'),
      )
      expect([file, ...headings]).toContain(section ?? file)
    }
  })
})

describe('a server that is away', () => {
  test('Redis that does not answer: the command ends in time', async () => {
    audit.server.pause()
    const began = performance.now()
    const { code, stderr } = await call('status', '--timeout', '1').finally(() =>
      audit.server.resume(),
    )
    expect(stderr).toMatch(/127\.0\.0\.1:\d+/)
    expect(code).toBe(1)
    expect(performance.now() - began).toBeLessThan(8000)
  })

  test('PostgreSQL that does not answer: the command ends in time', async () => {
    const proxy = await audit.postgresProxy()
    proxy.mode = 'blackhole'
    env.DATABASE_URL = proxy.url
    const began = performance.now()
    const { code, stderr } = await call('history', 'a', '--timeout', '1')
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'synckairos-state: the database did not answer within 1 s\n',
    })
    expect(performance.now() - began).toBeLessThan(8000)
  })

  test.each([
    [
      'Redis',
      () => ({ REDIS_URL: `redis://service:hunter2@127.0.0.1:${audit.server.port}` }),
      'session',
    ],
    [
      'a database',
      () => ({
        DATABASE_URL: `${audit.databaseUrl.replace('//', '//nobody:hunter2@').replace(/@[^@/]*@/, '@')}`,
      }),
      'history',
    ],
  ])(
    '%s with a wrong password: it is told, the password is not',
    async (_server, change, command) => {
      const { code, stdout, stderr } = await run([command, 'a', '--timeout', '2'], {
        ...env,
        ...change(),
      })
      expect(code).toBe(1)
      expect(stderr).toMatch(/^synckairos-state: /)
      expect(stdout + stderr).not.toMatch(/hunter2/)
    },
  )
})

describe('TLS', () => {
  let server
  let port
  beforeAll(async () => {
    port = await freePort()
    const args = ['--tls-port', port, '--tls-cert-file', CERTIFICATE, '--tls-key-file', KEY]
    server = await RedisServer.start([...args, '--tls-auth-clients', 'no'])
  })
  afterAll(() => server.stop())

  test('trusts the certificates of --ca, and no unknown ones', async () => {
    env.REDIS_URL = `rediss://localhost:${port}`
    const status = (...options) => callJson('status', '--timeout', '2', ...options)
    expect(await status('--ca', CERTIFICATE)).toMatchObject({ code: 0, json: { ready: true } })
    const { code, json } = await status()
    expect(json.error.message).toMatch(/certificate/)
    expect(code).toBe(1)
  })
})

test('a terminal gets colours and aligned columns, unless NO_COLOR is set', () => {
  const inTerminal = (more) =>
    execFileSync('script', ['-qec', `${process.execPath} ${PROGRAM} status`, '/dev/null'], {
      env: { PATH: process.env.PATH, TERM: 'xterm', ...env, ...more },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  const coloured = inTerminal({})
  expect(coloured).toContain('\x1b[1mserver ')
  expect(coloured).not.toContain('\t')
  const plain = inTerminal({ NO_COLOR: '1' })
  expect(plain).not.toContain('\x1b')
  expect(plain).toMatch(/^server {2,}version {2,}role/m)
})

describe('on a cluster', () => {
  let group
  beforeAll(async () => {
    group = await ClusterGroup.start({ masters: 2, replicas: 0, appends: false })
  }, 60_000)
  afterAll(() => group?.stop())
  beforeEach(async () => {
    await group.settled()
    env.REDIS_URL = `redis://127.0.0.1:${group.nodes[0].port}`
  })

  test('status tells each master and who listens', async () => {
    const manager = audit.manage(null, { url: env.REDIS_URL })
    manager.subscribeToUpdates(() => {})
    await manager.subscribed()
    const { code, json } = await callJson('status')
    const { nodes, ...told } = json.redis
    expect(told).toMatchObject({ topology: 'cluster', partitions: 64, subscribers: 1 })
    const ports = nodes.map(({ address, role }) => [Number(address.split(':')[1]), role])
    expect(ports.sort()).toEqual(group.nodes.map(({ port }) => [port, 'master']).sort())
    expect(nodes[0].usedMemoryBytes).toBeGreaterThan(0)
    expect(code).toBe(0)
  })

  test('session finds the TTL, and the audit', async () => {
    const queue = audit.queue({ url: env.REDIS_URL })
    const manager = audit.manage(queue, { url: env.REDIS_URL })
    const { session_id: id } = await createdBy(manager)
    await queue.drained()
    const { json } = await callJson('session', id)
    expect(json).toMatchObject({ state: { version: 1 }, audit: { agrees: true } })
    expect(json.ttlMs).toBeGreaterThan(3_500_000)
  })

  test('doctor tells of each master', async () => {
    const found = await findings()
    for (const { port } of group.nodes) {
      expect(found).toContainEqual(
        expect.stringMatching(new RegExp(`^(danger|warning): 127.0.0.1:${port} persists`)),
      )
    }
  })

  test('watch, drain and bench work', async () => {
    expect(await callJson('drain')).toMatchObject({ code: 0, json: { drained: true } })
    expect(await callJson('bench', '--yes', '--seconds', '1')).toMatchObject({
      code: 0,
      json: { topology: 'cluster' },
    })
  })
})
