'use strict'

const { spawnSync } = require('node:child_process')
const { ClosedError, RedisStateManager, RedisUnavailableError } = require('..')
const { TcpProxy } = require('./harness/proxy.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { RedisServer } = require('./harness/redis.js')
const { makeState } = require('./harness/sessions.js')
const { sleep, until } = require('./harness/until.js')

let server
let redis
let proxy
let managers = []

beforeAll(async () => {
  server = await RedisServer.start(['--appendonly', 'yes', '--appendfsync', 'always'])
  redis = server.client()
})
afterAll(() => server.stop())

beforeEach(async () => {
  proxy = await TcpProxy.start(server.port)
})
afterEach(async () => {
  await Promise.all(managers.map((manager) => manager.close()))
  managers = []
  await proxy.stop()
})

/** A manager that is closed after the test. */
function manage(url, options) {
  const manager = new RedisStateManager(url, undefined, undefined, options)
  managers.push(manager)
  return manager
}

/** A manager behind the proxy, what it is told of updates, and what it tells its logger. */
async function subscriber(url = proxy.url) {
  const logger = recordingLogger()
  const manager = manage(url, { logger })
  const heard = []
  manager.subscribeToUpdates((id, state) => heard.push([id, state?.version ?? null]))
  await manager.subscribed()
  return { manager, heard, warned: logger.told.warn }
}

/** What was heard of one session. */
const of = (heard, id) => heard.filter(([about]) => about === id).map(([, version]) => version)

/** A session that the subscriber has heard of. */
async function known(writer, heard) {
  const state = makeState()
  await writer.createSession(state)
  await until(() => of(heard, state.session_id).length === 1)
  return state
}

async function channels() {
  const [, updates] = await redis.pubsub('NUMSUB', 'session-updates')
  return { updates: Number(updates), patterns: await redis.pubsub('NUMPAT') }
}

describe('after a gap', () => {
  test('a long outage of Redis: the next update is heard, and what was missed, once', async () => {
    const { manager, heard, warned } = await subscriber()
    const writer = manage(server.url)
    const [updated, deleted, untouched] = [
      await known(writer, heard),
      await known(writer, heard),
      await known(writer, heard),
    ]
    await server.kill()
    await until(() => warned.some(({ reason }) => reason !== undefined))
    await sleep(4500) // Longer than any back-off.
    proxy.mode = 'refuse'
    await server.up()
    for (let n = 0; n < 3; n++) await writer.updateSession(updated.session_id, updated)
    await writer.deleteSession(deleted.session_id)
    heard.length = 0
    proxy.mode = 'pass'
    await manager.subscribed()
    await writer.updateSession(untouched.session_id, untouched)
    await until(() => of(heard, untouched.session_id).length > 0)
    expect(of(heard, updated.session_id)).toEqual([4])
    expect(of(heard, deleted.session_id)).toEqual([null])
    expect(of(heard, untouched.session_id)).toEqual([2])
    const gap = warned.map((warning) => warning.gap).filter(Boolean)
    expect(gap).toEqual([{ lastedMs: expect.any(Number), known: 3, reread: 3, changed: 2 }])
    expect(gap[0].lastedMs).toBeGreaterThan(4500)
  })

  test('a reset connection is subscribed again', async () => {
    const { manager, heard } = await subscriber()
    const writer = manage(server.url)
    const state = await known(writer, heard)
    for (let version = 2; version <= 4; version++) {
      const before = proxy.connections
      proxy.reset()
      await until(() => proxy.connections > before)
      await manager.subscribed()
      await until(async () => (await channels()).updates === 1)
      await writer.updateSession(state.session_id, state)
      await until(() => of(heard, state.session_id).includes(version))
    }
    expect(of(heard, state.session_id)).toEqual([1, 2, 3, 4])
  })

  test('a connection that fell silent is noticed and replaced, though nobody closed it', async () => {
    const { heard, warned } = await subscriber()
    const writer = manage(server.url)
    const state = await known(writer, heard)
    proxy.strand()
    await writer.updateSession(state.session_id, state)
    await until(() => of(heard, state.session_id).includes(2), 8000)
    expect(of(heard, state.session_id)).toEqual([1, 2])
    expect(warned.some(({ gap }) => gap?.changed === 1)).toBe(true)
  })

  test('a session that was made anew meanwhile is told of, though its version is the same', async () => {
    const { manager, heard } = await subscriber()
    const writer = manage(server.url)
    const state = await known(writer, heard)
    proxy.mode = 'refuse'
    proxy.reset()
    await writer.deleteSession(state.session_id)
    await writer.createSession(state)
    proxy.mode = 'pass'
    await until(() => heard.length > 1)
    await manager.subscribed()
    expect(of(heard, state.session_id)).toEqual([1, 1])
  })

  test('a session that was heard of as deleted, and begun again meanwhile, is told of', async () => {
    const { manager, heard } = await subscriber()
    const writer = manage(server.url)
    const state = await known(writer, heard)
    await writer.deleteSession(state.session_id)
    await until(() => heard.length > 1)
    proxy.mode = 'refuse'
    proxy.reset()
    await writer.createSession(state)
    proxy.mode = 'pass'
    await until(() => heard.length > 2)
    await manager.subscribed()
    expect(of(heard, state.session_id)).toEqual([1, null, 1])
  })

  test('a session that was heard of as deleted, and still is, is not told of again', async () => {
    const { manager, heard, warned } = await subscriber()
    const writer = manage(server.url)
    const state = await known(writer, heard)
    await writer.deleteSession(state.session_id)
    await until(() => heard.length > 1)
    for (const gaps of [1, 2]) {
      proxy.reset()
      await until(() => warned.filter(({ gap }) => gap).length === gaps)
      await manager.subscribed()
    }
    expect(of(heard, state.session_id)).toEqual([1, null])
    const gaps = warned
      .filter(({ gap }) => gap)
      .map(({ gap: { known, changed } }) => [known, changed])
    expect(gaps).toEqual([
      [1, 0],
      [1, 0],
    ])
  })

  test('a key that is no session now is not taken for deleted', async () => {
    const { manager, heard, warned } = await subscriber()
    const writer = manage(server.url)
    const [text, list, gone] = [
      await known(writer, heard),
      await known(writer, heard),
      await known(writer, heard),
    ]
    proxy.mode = 'refuse'
    proxy.reset()
    await redis.set(`session:${text.session_id}`, 'no JSON')
    await redis.del(`session:${list.session_id}`, `session:${gone.session_id}`)
    await redis.rpush(`session:${list.session_id}`, 'no string')
    proxy.mode = 'pass'
    await until(() => warned.some(({ gap }) => gap))
    await manager.subscribed()
    expect(of(heard, text.session_id)).toEqual([1])
    expect(of(heard, list.session_id)).toEqual([1])
    expect(of(heard, gone.session_id)).toEqual([1, null])
  })

  test('callbacks that cannot keep up are not buried: they miss messages, and get the end', async () => {
    const { heard, warned } = await subscriber(server.url) // A proxy would be busy, too.
    const writer = manage(server.url)
    const state = await known(writer, heard)
    const text = await redis.get(`session:${state.session_id}`)
    const last = text.replace('"version":1,', '"version":99,')
    await redis.set(`session:${state.session_id}`, last)
    const message = { sessionId: state.session_id, state: text, timestamp: 1 }
    // Published by a process of its own, while this one does nothing but wait for it.
    const script = `
      const redis = new (require('ioredis').default)(${server.port})
      const message = ${JSON.stringify(JSON.stringify(message))}
      const some = () => Promise.all(Array.from({ length: 4000 }, () => redis.publish('session-updates', message)))
      const all = async () => { for (let i = 0; i < 20; i++) await some() }
      all().then(() => redis.disconnect())`
    const { status } = spawnSync(process.execPath, ['-e', script], { cwd: __dirname })
    expect(status).toBe(0)
    await until(() => of(heard, state.session_id).at(-1) === 99, 20_000)
    const reasons = warned.map(({ reason }) => reason)
    expect(reasons).toContainEqual(expect.stringMatching(/messages behind/))
  })

  test('under continuous updates and resets no version comes twice or goes back', async () => {
    const { heard } = await subscriber()
    const writer = manage(server.url)
    const state = await known(writer, heard)
    const id = state.session_id
    let over = false
    const writing = (async () => {
      let version = 1
      for (; !over; version++) await writer.updateSession(id, state)
      return version
    })()
    for (let round = 0; round < 6; round++) {
      const before = heard.length
      proxy.reset()
      await until(() => heard.length > before + 50)
      await sleep(Math.random() * 50)
    }
    over = true
    const last = await writing
    await until(() => of(heard, id).includes(last))
    const versions = of(heard, id)
    expect(versions.filter((version, at) => at > 0 && version <= versions[at - 1])).toEqual([])
    expect(versions.at(-1)).toBe(last)
  })
})

describe('what happens while the sessions are read again', () => {
  /** Loses the connection, and does something between the new subscription and the reading. */
  async function duringReread(change) {
    const { manager, heard, warned } = await subscriber()
    const writer = manage(server.url)
    const state = await known(writer, heard)
    const end = await known(writer, heard)
    const held = proxy.hold('MGET')
    proxy.reset()
    const { release } = await held
    await change(writer, state)
    release()
    await until(() => warned.some(({ gap }) => gap !== undefined))
    await manager.subscribed()
    await writer.updateSession(end.session_id, end)
    await until(() => of(heard, end.session_id).includes(2))
    return of(heard, state.session_id).slice(1)
  }

  test('an update is heard once', async () => {
    const versions = await duringReread(async (writer, state) => {
      await writer.updateSession(state.session_id, state)
      await writer.updateSession(state.session_id, state)
    })
    expect(versions).toEqual([3])
  })

  test('a deletion is heard once', async () => {
    const versions = await duringReread((writer, state) => writer.deleteSession(state.session_id))
    expect(versions).toEqual([null])
  })

  test('after an update and a deletion the session does not come back', async () => {
    const versions = await duringReread(async (writer, state) => {
      await writer.updateSession(state.session_id, state)
      await writer.deleteSession(state.session_id)
    })
    expect(versions.at(-1)).toBeNull()
    expect(versions.indexOf(null)).toBe(versions.length - 1)
  })

  test('after a new life of the session nothing comes of the old one', async () => {
    const versions = await duringReread(async (writer, state) => {
      for (let n = 0; n < 3; n++) await writer.updateSession(state.session_id, state)
      await writer.deleteSession(state.session_id)
      await writer.createSession(state)
    })
    expect(versions).toEqual([1])
  })

  test('losing the connection then leaves the subscription unconfirmed', async () => {
    const { manager, heard } = await subscriber()
    const writer = manage(server.url)
    const state = await known(writer, heard)
    const held = proxy.hold('MGET')
    proxy.reset()
    await held
    let confirmed = false
    const waiting = manager.subscribed().then(() => {
      confirmed = true
    })
    const before = proxy.connections
    proxy.mode = 'refuse'
    proxy.reset()
    await until(() => proxy.connections > before + 1)
    expect(confirmed).toBe(false)
    await writer.updateSession(state.session_id, state)
    proxy.mode = 'pass'
    await waiting
    await until(() => of(heard, state.session_id).includes(2))
  })
})

describe('subscribed()', () => {
  test.each([
    ['updates', 'SUBSCRIBE', (manager) => manager.subscribeToUpdates(() => {})],
    ['WebSocket messages', 'PSUBSCRIBE', (manager) => manager.subscribeToWebSocket(() => {})],
  ])(
    'resolves when Redis has confirmed the subscription to %s',
    async (what, command, subscribe) => {
      const manager = manage(proxy.url)
      const held = proxy.hold(command)
      subscribe(manager)
      let confirmed = false
      const waiting = manager.subscribed().then(() => {
        confirmed = true
      })
      const { release } = await held
      await sleep(50)
      expect(confirmed).toBe(false)
      expect(await channels()).toEqual({ updates: 0, patterns: 0 })
      release()
      await waiting
      const updates = what === 'updates'
      expect(await channels()).toEqual({ updates: updates ? 1 : 0, patterns: updates ? 0 : 1 })
    },
  )

  test('waits for both kinds, and again for one that is added', async () => {
    const manager = manage(server.url)
    manager.subscribeToUpdates(() => {})
    await manager.subscribed()
    manager.subscribeToWebSocket(() => {})
    await manager.subscribed()
    expect(await channels()).toEqual({ updates: 1, patterns: 1 })
  })

  test('rejects at its deadline where Redis stays away', async () => {
    proxy.mode = 'refuse'
    const manager = manage(proxy.url, { commandTimeoutMs: 200 })
    manager.subscribeToUpdates(() => {})
    await expect(manager.subscribed()).rejects.toBeInstanceOf(RedisUnavailableError)
    proxy.mode = 'pass'
    await until(() =>
      manager.subscribed().then(
        () => true,
        () => false,
      ),
    )
  })

  test('waits while Redis is down', async () => {
    await server.kill()
    const manager = manage(server.url)
    manager.subscribeToUpdates(() => {})
    let confirmed = false
    const waiting = manager.subscribed().then(() => {
      confirmed = true
    })
    await sleep(300)
    expect(confirmed).toBe(false)
    await server.up()
    await waiting
    expect((await channels()).updates).toBe(1)
  })

  test('waits again after the connection was lost', async () => {
    const { manager, warned } = await subscriber()
    proxy.mode = 'refuse'
    proxy.reset()
    await until(() => warned.length > 0)
    let confirmed = false
    const waiting = manager.subscribed().then(() => {
      confirmed = true
    })
    await sleep(100)
    expect(confirmed).toBe(false)
    proxy.mode = 'pass'
    await waiting
    expect((await channels()).updates).toBe(1)
  })

  test('rejects when its manager is closed, before or meanwhile', async () => {
    proxy.mode = 'refuse'
    const manager = manage(proxy.url)
    manager.subscribeToUpdates(() => {})
    const waiting = manager.subscribed()
    const rejected = expect(waiting).rejects.toBeInstanceOf(ClosedError)
    await manager.close()
    await rejected
    await expect(manager.subscribed()).rejects.toBeInstanceOf(ClosedError)
  })

  test('resolves at once where nothing is subscribed', async () => {
    await manage(proxy.url).subscribed()
    expect(proxy.connections).toBe(0)
  })
})

describe('what is subscribed in Redis', () => {
  test('is what there are callbacks for, and nothing after the last of them', async () => {
    const manager = manage(server.url)
    const gone = [
      manager.subscribeToUpdates(() => {}),
      manager.subscribeToUpdates(() => {}),
      manager.subscribeToWebSocket(() => {}),
    ]
    await manager.subscribed()
    expect(await channels()).toEqual({ updates: 1, patterns: 1 })
    gone[0]()
    await manager.subscribed()
    expect(await channels()).toEqual({ updates: 1, patterns: 1 })
    gone[1]()
    await manager.subscribed()
    expect(await channels()).toEqual({ updates: 0, patterns: 1 })
    gone[2]()
    await until(async () => (await channels()).patterns === 0)
    manager.subscribeToUpdates(() => {})
    await manager.subscribed()
    expect(await channels()).toEqual({ updates: 1, patterns: 0 })
  })

  test('stays so after a reconnection', async () => {
    const { manager, warned } = await subscriber()
    const gone = manager.subscribeToWebSocket(() => {})
    await manager.subscribed()
    gone()
    await manager.subscribed()
    proxy.reset()
    await until(() => warned.some(({ gap }) => gap !== undefined))
    await manager.subscribed()
    expect(await channels()).toEqual({ updates: 1, patterns: 0 })
  })

  test('ends with close()', async () => {
    const { manager } = await subscriber()
    await manager.close()
    await until(async () => (await channels()).updates === 0)
  })
})
