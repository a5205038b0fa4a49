'use strict'

const { DBWriteQueue, RedisStateManager } = require('..')
const { RedisServer } = require('./harness/redis.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const EXPIRIES = 'synckairos:expiries:session:'
const STREAM = 'synckairos:audit:{db-writes}:stream'
/** The commands without which a connection cannot be made. */
const NOT_OF_A_SCRIPT =
  /^(eval|evalsha|hello|client|select|ping|auth|config|acl|info|publish_end)\b/

/** The user may not look for expired sessions either, which is no matter here. */
const logger = { info() {}, warn() {}, error() {} }

let server
let admin
let heard

beforeAll(async () => {
  server = await RedisServer.start()
  admin = server.client()
  const listener = server.client()
  listener.on('message', (_channel, text) => heard.push(text))
  await listener.subscribe('session-updates')
})
afterAll(() => server.stop())

const url = () => `redis://app:secret@127.0.0.1:${server.port}`

/** @param {string[]} rules what the user may not do, of all that there is */
async function allow(...rules) {
  await admin.acl('SETUSER', 'app', 'reset', 'on', '>secret', '+@all', '~*', '&*', ...rules)
}

/** All that anybody can see of a session: what is stored, told and queued. */
async function traces(id) {
  const mark = `"end ${Math.random()}"`
  await admin.publish('session-updates', mark)
  await until(() => heard.includes(mark))
  const stored = await admin.get(`session:${id}`)
  const told = heard.filter((text) => text.includes(id)).length
  const queued = (await admin.xrange(STREAM, '-', '+')).filter(([, entry]) => entry.includes(id))
  const noted = (await admin.zscore(EXPIRIES, id)) !== null
  return { stored, told, queued: queued.length, noted }
}

const WRITES = {
  create: (manager, state) => manager.createSession(state),
  'create over another': (manager, state) => manager.createSession(state),
  'create if absent': (manager, state) => manager.createSession(state, { ifAbsent: true }),
  'update with a version': (manager, state) => manager.updateSession(state.session_id, state, 1),
  'update without': (manager, state) => manager.updateSession(state.session_id, state),
  'update of none': (manager, state) => manager.updateSession(state.session_id, state),
  delete: (manager, state) => manager.deleteSession(state.session_id),
  'delete of none': (manager, state) => manager.deleteSession(state.session_id),
}
const OF_NONE = new Set(['create', 'create if absent', 'update of none', 'delete of none'])

const AUDITS = {
  'without an audit': null,
  'with an audit': {},
  'with a limit': { maxBacklog: 1e6 },
  'with an audit and expiries': { announceExpiry: true },
}

/** A manager, and what queues its records. */
async function opened(audit) {
  const { announceExpiry = false, ...options } = audit ?? {}
  const queue = audit && new DBWriteQueue(url(), { worker: false, ...options })
  const manager = new RedisStateManager(url(), null, queue, { announceExpiry, logger })
  await manager.getSession('none')
  return {
    manager,
    queue,
    async close() {
      await manager.close()
      await queue?.close(true)
    },
  }
}

/** The commands that Redis executed while this ran, each by its name. */
async function commandsOf(act) {
  await admin.config('RESETSTAT')
  await act()
  const stats = await admin.info('commandstats')
  const names = [...stats.matchAll(/^cmdstat_([^:|]+)/gm)].map(([, name]) => name)
  return names.filter((name) => !NOT_OF_A_SCRIPT.test(name))
}

/** Each alone, and each two. */
function* combinations(commands) {
  for (const [at, one] of commands.entries()) {
    yield [one]
    for (const other of commands.slice(at + 1)) yield [one, other]
  }
}

async function given(of) {
  const state = makeState()
  const id = state.session_id
  if (!OF_NONE.has(of)) await admin.set(`session:${id}`, JSON.stringify(state), 'EX', 1000)
  return state
}

beforeEach(async () => {
  heard = []
  await allow()
  await admin.flushall()
})

describe.each(Object.entries(AUDITS))('a user that may not run a command, %s', (_name, audit) => {
  test.each(Object.keys(WRITES))(
    '%s: all is done, or nothing',
    async (what) => {
      const write = WRITES[what]
      const one = await opened(audit)
      const first = await given(what)
      const used = await commandsOf(() => write(one.manager, first))
      const done = await traces(first.session_id)
      await one.close()
      expect(used).toContain('publish')
      // Redis refuses whole groups of commands in one way.
      const rules = [...combinations(used)].map((names) => names.map((name) => `-${name}`))
      rules.push(['resetkeys', '%R~session:*', '~synckairos:*'], ['resetchannels'])
      rules.push(['resetkeys', '~session:*', '~synckairos:ledger:*'], ['resetkeys', '~session:*'])
      let refusals = 0
      // Of the first write of a client more is to be noted.
      for (const isFirst of [true, false]) {
        const warm = isFirst ? undefined : await opened(audit)
        if (warm) await write(warm.manager, await given(what))
        for (const rule of rules) {
          const state = await given(what)
          const id = state.session_id
          const before = await traces(id)
          const client = warm ?? (await opened(audit))
          await allow(...rule)
          const refused = await write(client.manager, state).then(
            () => false,
            (error) => error,
          )
          await allow()
          const after = await traces(id)
          if (!warm) await client.close()
          const outcome = { rule, refused: Boolean(refused), ...after }
          if (refused) {
            refusals++
            expect(outcome).toEqual({ rule, refused: true, ...before })
            expect(refused).toMatchObject({ code: 'REDIS_REPLY' })
          } else {
            const { stored, ...others } = after
            expect(stored === before.stored).toBe(done.stored === before.stored)
            expect({ rule, ...others }).toMatchObject({
              told: done.told,
              queued: done.queued,
              noted: done.noted,
            })
          }
        }
        await warm?.close()
      }
      expect(refusals).toBeGreaterThan(used.length)
    },
    60_000,
  )

  test('a record that is queued by hand: it is queued, or nothing is noted', async () => {
    if (!audit) return
    const state = makeState()
    const id = state.session_id
    const one = await opened(audit)
    const used = await commandsOf(() => one.queue.queueWrite('other', state, 'x'))
    for (const names of combinations(used)) {
      await allow(...names.map((name) => `-${name}`))
      const refused = await one.queue.queueWrite(id, state, 'x').catch((error) => error)
      await allow()
      const { queued } = await traces(id)
      expect([names, queued]).toEqual([names, refused === undefined ? 1 : 0])
      await admin.del(STREAM)
    }
    await one.close()
  })
})

describe('a Redis that cannot be asked for rights', () => {
  /** What the manager sends whole, as Redis 6.2 would run it. */
  async function scriptsOf(act) {
    const monitor = await admin.monitor()
    const scripts = []
    monitor.on('monitor', (_time, [name, ...words]) => {
      if (name.toUpperCase() !== 'EVAL') return
      const plain = words.map((word) => word.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c)))
      plain[0] = `local NONE = nil\n${plain[0].replaceAll('redis.acl_check_cmd', 'NONE')}`
      scripts.push(plain)
    })
    await admin.script('FLUSH')
    await act()
    await until(() => scripts.length > 0)
    monitor.disconnect()
    return scripts
  }

  const kinds = ['update with a version', 'update without', 'create if absent', 'delete']
  test.each(kinds.flatMap((what) => [false, true].map((announceExpiry) => [what, announceExpiry])))(
    '%s: all is done, or nothing (announceExpiry: %s)',
    async (what, announceExpiry) => {
      const one = await opened({ announceExpiry })
      const state = await given(what)
      const id = state.session_id
      const [script] = await scriptsOf(() => WRITES[what](one.manager, state))
      await one.close()
      const user = server.client({ username: 'app', password: 'secret' })
      let refusals = 0
      for (const names of [
        [],
        ...combinations(['set', 'del', 'xadd', 'xdel', 'publish', 'exists', 'zadd', 'zrem']),
      ]) {
        await admin.flushall()
        heard.length = 0
        if (!OF_NONE.has(what)) await admin.set(`session:${id}`, JSON.stringify(state))
        if (what === 'delete' && announceExpiry) await admin.zadd(EXPIRIES, 0, id)
        const before = await traces(id)
        await allow(...names.map((name) => `-${name}`))
        const answer = await user.eval(...script).catch((error) => error)
        await allow()
        const { stored, ...after } = await traces(id)
        if (answer instanceof Error) {
          refusals++
          expect({ names, stored, ...after }).toEqual({ names, ...before })
        } else {
          const noted = announceExpiry && what !== 'delete'
          expect({ names, ...after }).toEqual({ names, told: 1, queued: 1, noted })
          expect(stored).not.toBe(before.stored)
        }
      }
      expect(refusals).toBeGreaterThan(5)
    },
  )
})
