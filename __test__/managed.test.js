'use strict'

const { OutcomeUnknownError, createRedisClient } = require('..')
const { startScript } = require('./harness/child.js')
const { ManagedRedis } = require('./harness/managed-redis.js')
const { TcpProxy } = require('./harness/proxy.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { RedisServer } = require('./harness/redis.js')
const { refusalOf } = require('./harness/refusal.js')
const { createdBy, makeState } = require('./harness/sessions.js')
const { sleep, until } = require('./harness/until.js')

const ALL = ['HELLO', 'CLIENT', 'CONFIG']

const servers = ManagedRedis.use(['--appendonly', 'yes', '--appendfsync', 'always'])
const { managers } = servers
const managed = (options, target) => servers.start(options, target)

const open = (proxy, options) => managers.open(proxy.url, options)

/** A client whose outages are no warnings of the process. */
function clientOf(url, options) {
  return managers.keep(createRedisClient(url, options)).on('error', () => {})
}

describe('a server that does not know HELLO', () => {
  test.each([
    "ERR unknown command 'HELLO', with args beginning with: '3' ",
    "NOPERM this user has no permissions to run the 'hello' command",
    "ERR Command is not available: 'HELLO'. See https://example.com for details",
    "unsupported command 'HELLO'",
    'NOPROTO unsupported protocol version',
  ])('and says so by "%s" is spoken to in RESP2', async (line) => {
    const error = () => line
    const proxy = await managed({ refuses: ['HELLO'], error })
    const manager = open(proxy)
    const { session_id: id } = await createdBy(manager)
    expect(await manager.getSession(id)).toMatchObject({ session_id: id, version: 1 })
    expect(await clientOf(proxy.url).hgetall('none')).toEqual({})
    expect(proxy.refused.length).toBeGreaterThan(0)
  })

  describe('is told who is speaking', () => {
    const PASSWORD = 'of the default user'
    let locked

    beforeAll(async () => {
      locked = await RedisServer.start()
      const admin = locked.client()
      await admin.acl('SETUSER', 'named', 'on', '>secret', '~*', '&*', '+@all')
      await admin.config('SET', 'requirepass', PASSWORD)
    })
    afterAll(() => locked.stop())

    const urlOf = (login, { port }, db = '') => `redis://${login}@127.0.0.1:${port}/${db}`
    const credentials = encodeURIComponent(PASSWORD)

    test.each([
      ['a password', `:${credentials}`, 'default'],
      ['a user name and a password', 'named:secret', 'named'],
    ])('by %s', async (_what, login, user) => {
      const proxy = await managed({ refuses: ['HELLO'] }, locked.port)
      const client = clientOf(urlOf(login, proxy, 3))
      expect(await client.call('ACL', 'WHOAMI')).toBe(user)
      await client.set('where', 'three')
      const [, database] = (await client.client('INFO')).match(/ db=(\d+)/)
      expect(database).toBe('3')
      await client.del('where')
    })

    test('where it asks for a password before it says that it does not know HELLO', async () => {
      const proxy = await managed(
        { refuses: ['HELLO'], error: () => 'NOAUTH Authentication required.' },
        locked.port,
      )
      expect(await clientOf(urlOf('named:secret', proxy)).call('ACL', 'WHOAMI')).toBe('named')
    })

    test.each([
      ['a wrong password', 'named:wrong', /WRONGPASS/],
      ['no password', '', /NOAUTH/],
    ])('and refuses %s as such', async (_what, login, refusal) => {
      const proxy = await managed({ refuses: ['HELLO'] }, locked.port)
      const client = clientOf(urlOf(login, proxy), { commandTimeoutMs: 500 })
      const error = await refusalOf(() => client.get('x'))
      expect(error.message).toMatch(refusal)
      expect(error.message).not.toContain('wrong')
    })
  })

  test('and is a replica is not used', async () => {
    const replica = await RedisServer.start(['--replicaof', '127.0.0.1', servers.server.port])
    try {
      const proxy = await managed({ refuses: ['HELLO'] }, replica.port)
      const error = await refusalOf(() => clientOf(proxy.url, { commandTimeoutMs: 500 }).get('x'))
      expect(error.message).toMatch(/it is a replica/)
    } finally {
      await replica.stop()
    }
  })
})

describe('where there can be no fence', () => {
  const reset = (line) => line.reset()
  /** It stays, and stays deaf: Redis still has it when the next one is made. */
  const strand = (line) => line.strand()

  /** Of an unlocked update whose answer is lost. */
  async function loseAnswer(refuses, lose) {
    const proxy = await managed({ refuses })
    const line = await TcpProxy.start(proxy.port)
    try {
      const logger = recordingLogger()
      const manager = open(line, { logger })
      const state = makeState()
      await manager.createSession(state)
      await manager.updateSession(state.session_id, state)
      line.mode = 'swallow'
      const update = manager.updateSession(state.session_id, state).then(() => 'done', String)
      const stored = async () =>
        JSON.parse(await servers.redis.get(`session:${state.session_id}`)).version
      await until(async () => (await stored()) === 3)
      line.mode = 'pass'
      lose(line)
      const outcome = await update
      return { outcome, version: await stored(), logger }
    } finally {
      await line.stop()
    }
  }

  test.each([
    ['CLIENT', ['CLIENT'], reset],
    ['CLIENT KILL', ['CLIENT|KILL'], strand],
    ['CLIENT LIST', ['CLIENT|LIST'], reset],
    ['CLIENT ID', ['CLIENT|ID'], reset],
    ['HELLO and CLIENT', ['HELLO', 'CLIENT'], reset],
  ])(
    'as it refuses %s, an outcome is unknown, and the logger is told once',
    async (_what, refuses, lose) => {
      const { outcome, version, logger } = await loseAnswer(refuses, lose)
      expect(outcome).toContain(OutcomeUnknownError.name)
      expect(version).toBe(3)
      const told = logger.told.warn.filter(({ message }) => /CLIENT SETNAME/.test(message))
      expect(told).toHaveLength(1)
      expect(told[0].message).toMatch(
        /^127\.0\.0\.1:\d+: it does not let this user end a connection/,
      )
    },
  )

  test('without HELLO alone, there is one', async () => {
    const { outcome, version, logger } = await loseAnswer(['HELLO'], strand)
    expect(outcome).toBe('done')
    expect(version).toBe(3)
    expect(logger.told.warn.filter(({ message }) => /CLIENT/.test(message))).toEqual([])
  })

  test('the process is told once, by a code, where there is no logger', async () => {
    const proxy = await managed({ refuses: [...ALL, 'ROLE'] })
    const { child, ended } = startScript(
      `
      process.on('warning', ({ code, message }) => process.send({ code, message }))
      const { RedisStateManager } = require('.')
      const managers = [1, 2].map(() => new RedisStateManager(process.env.URL_OF_REDIS, null, null, { cache: {} }))
      Promise.all(managers.map((one) => one.getSession('s')))
        .then(() => Promise.all(managers.map((one) => one.getSession('s'))))
        .then(() => Promise.all(managers.map((one) => one.close())))
      `,
      { env: { URL_OF_REDIS: proxy.url }, ipc: true },
    )
    const warnings = []
    child.on('message', (warning) => warnings.push(warning))
    expect(await ended).toMatchObject({ code: 0 })
    expect(warnings.map(({ code }) => code).sort()).toEqual([
      'SYNCKAIROS_NOT_CACHED',
      'SYNCKAIROS_REDIS_LIMITED',
    ])
    const { message } = warnings.find(({ code }) => code === 'SYNCKAIROS_REDIS_LIMITED')
    expect(message).toMatch(/OutcomeUnknownError.*\(HELLO, ROLE\)/)
    for (const { message } of warnings) expect(message).toContain(`127.0.0.1:${proxy.port}`)
  })
})

describe('a cache, where Redis does not tell of changes', () => {
  test.each([
    ['CLIENT', ['CLIENT']],
    ['CLIENT TRACKING', ['CLIENT|TRACKING']],
    // Redis accepts CLIENT TRACKING in RESP2, and tells nothing.
    ['HELLO', ['HELLO']],
  ])('as it refuses %s, is off: nothing that is read is out of date', async (_what, refuses) => {
    const logger = recordingLogger()
    const manager = open(await managed({ refuses }), { cache: {}, logger })
    const { session_id: id } = await createdBy(manager)
    for (let version = 2; version <= 5; version++) {
      const state = makeState({ session_id: id, version })
      await servers.redis.set(`session:${id}`, JSON.stringify(state))
      expect(await manager.getSession(id)).toMatchObject({ version })
    }
    const told = logger.told.warn.filter(({ message }) => /CLIENT TRACKING/.test(message))
    expect(told).toHaveLength(1)
  })
})

describe('a connection that is cut', () => {
  /** What a client and a manager's logger are told, over at least so many cuts. */
  async function toldOver(proxy, cuts, work) {
    const logger = recordingLogger()
    const client = clientOf(proxy.url)
    const errors = []
    client.on('error', (error) => errors.push(error))
    const manager = managers.open(client, { logger })
    const { session_id: id } = await createdBy(manager)
    await client.get('x')
    const before = proxy.accepted
    let calls = 0
    await until(async () => {
      await work(manager, client, id)
      calls++
      return proxy.accepted >= before + cuts
    }, 20_000)
    const told = logger.entries.filter(([, , text]) => !/CLIENT|ROLE/.test(text))
    return { errors, told, calls }
  }

  test('when it is idle is replaced, and nobody is told', async () => {
    const proxy = await managed({ refuses: ALL, idleMs: 100 })
    const { errors, told } = await toldOver(proxy, 10, async (manager, client, id) => {
      await sleep(150)
      expect(await manager.getSession(id)).toMatchObject({ version: 1 })
      expect(await client.get('x')).toBeNull()
    })
    expect(errors).toEqual([])
    expect(told).toEqual([])
  })

  test('at an age costs no caller of a read or of a locked update anything', async () => {
    const proxy = await managed({ refuses: ALL, ageMs: 150 })
    let version = 1
    const { calls } = await toldOver(proxy, 10, async (manager, _client, id) => {
      const state = await manager.getSession(id)
      expect(state.version).toBe(version)
      // A locked update is repeated; its repeat is recognised.
      await manager.updateSession(id, state, version)
      version++
    })
    expect(version).toBe(calls + 1)
  })

  test('and has something to answer is told, as are attempts that fail', async () => {
    const proxy = await TcpProxy.start(servers.server.port)
    try {
      const client = clientOf(proxy.url)
      const errors = []
      client.on('error', (error) => errors.push(error.message))
      await client.ping()
      const blocked = client.blpop('list', 5).catch(() => {})
      await until(async () => /cmd=blpop/.test(await servers.redis.client('LIST')))
      proxy.reset()
      await blocked
      await until(() => errors.length === 1)
      proxy.mode = 'refuse'
      proxy.reset()
      await until(() => errors.length > 1)
    } finally {
      await proxy.stop()
    }
  })
})
