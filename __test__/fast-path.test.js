'use strict'

const { ConcurrencyError, RedisReplyError, RedisStateManager, SessionNotFoundError } = require('..')
const { createRedisClient } = require('..')
const { OutcomeUnknownError, StateDeserializationError } = require('..')
const { Outage, outcomeOf } = require('./harness/outage.js')
const { refusalOf } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const outage = Outage.use()

/** A manager, through the proxy, that carries its calls by a connection of JavaScript's own. */
async function onFastPath(options, through = outage.proxy) {
  const manager = await outage.connected(options, through)
  const before = outage.proxy.connections
  await until(async () => {
    await manager.getSession('warming-up')
    return outage.proxy.connections > before
  })
  // Its greeting is answered before anything that is asked now.
  await outage.redis.ping()
  await until(() => isCarried(() => manager.getSession('warming-up')))
  return manager
}

/** Whether a call is seen by Redis as coming from JavaScript's connection. */
async function isCarried(call) {
  const commands = async () => {
    const clients = String(await outage.redis.client('LIST', 'TYPE', 'normal')).split('\n')
    const carrying = clients.filter(
      (line) =>
        / name=synckairos-state:fast-path:/.test(line) &&
        /cmd=(get|mget|evalsha|publish) /.test(line),
    )
    return carrying.map((line) => / tot-cmds=(\d+)/.exec(line)?.[1] ?? line).join()
  }
  await call()
  return (await commands()) !== ''
}

/** A document that is JSON but for a byte that is no UTF-8, in a string. */
function withBrokenByte(state) {
  const [before, after] = JSON.stringify({ ...state, note: '*' }).split('*')
  return Buffer.concat([Buffer.from(before), Buffer.from([0xff]), Buffer.from(after)])
}

test('documents come back as they are stored, whatever they hold', async () => {
  const manager = await onFastPath()
  const states = [
    makeState(),
    makeState({ note: 'Zoë "quoted" \\ \u{1f600} \u0000', session_started_at: new Date(5) }),
    makeState({ participants: [{ ...makeState().participants[0], joined_at: new Date(7) }] }),
    makeState({ blob: 'é'.repeat(200_000) }),
    makeState({ version: Number.MAX_SAFE_INTEGER - 5 }),
  ]
  for (const state of states) {
    await outage.redis.set(`session:${state.session_id}`, JSON.stringify(state))
  }
  const read = await Promise.all(states.map((state) => manager.getSession(state.session_id)))
  expect(read).toEqual(states)
  expect(await manager.getSession('none')).toBeNull()
  expect(await manager.getSession('keine-für-uns')).toBeNull()
})

test('documents of all lengths come back when they are read together', async () => {
  const manager = await onFastPath()
  const lengths = [0, 5_000, 40_000, 1, 300_000, 3_000_000, 70_000, 100, 260_000, 31_000]
  const states = lengths.map((length) => makeState({ blob: 'é'.repeat(length) }))
  for (const state of states) {
    await outage.redis.set(`session:${state.session_id}`, JSON.stringify(state))
  }
  for (let round = 0; round < 3; round++) {
    const wanted = Array.from({ length: 60 }, (_, at) => states[(at * (round + 3)) % states.length])
    const read = await Promise.all(wanted.map((state) => manager.getSession(state.session_id)))
    expect(read).toEqual(wanted)
  }
  expect(await isCarried(() => manager.getSession('none'))).toBe(true)
})

test('several sessions come back together, in their order, and those that are none as null', async () => {
  const manager = await onFastPath()
  const states = await Promise.all(Array.from({ length: 80 }, (_, n) => outage.given({ n })))
  const ids = ['none', ...states.map(({ session_id: id }) => id), states[0].session_id, 'none']
  const expected = [null, ...states, states[0], null]
  expect(await manager.getSessions(ids)).toEqual(expected)
  expect(await isCarried(() => manager.getSessions(ids))).toBe(true)
  // Those that are called together take both ways.
  const both = await Promise.all(Array.from({ length: 5 }, () => manager.getSessions(ids)))
  expect(both).toEqual(Array(5).fill(expected))
  // One that is for the core to read leaves all of them to it.
  await outage.redis.set('session:odd', JSON.stringify({ ...states[0], note: 'a \ufffd b' }))
  const [odd, even] = await manager.getSessions(['odd', states[1].session_id])
  expect(odd.note).toBe('a \ufffd b')
  expect(even).toEqual(states[1])
  await outage.redis.set('session:bytes', withBrokenByte(states[0]))
  const error = await refusalOf(() => manager.getSessions(['none', 'bytes']))
  expect(error).toBeInstanceOf(StateDeserializationError)
  expect(error).toMatchObject({ sessionId: 'bytes' })
})

test('what cannot be read is refused as by the other way', async () => {
  const manager = await onFastPath()
  await outage.redis.set('session:garbage', '{"version":')
  await outage.redis.set('session:bytes', withBrokenByte(makeState()))
  await outage.redis.del('session:list')
  await outage.redis.rpush('session:list', 'x')
  for (const id of ['garbage', 'bytes', 'list']) {
    expect(await refusalOf(() => manager.getSession(id))).toBeInstanceOf(StateDeserializationError)
  }
})

test('of concurrent writers of one version one wins, and the others are told by whom', async () => {
  const state = await outage.given()
  const managers = [await onFastPath(), await onFastPath()]
  const outcomes = await Promise.allSettled(
    Array.from({ length: 10 }, (_, index) =>
      managers[index % 2].updateSession(state.session_id, { ...state, total_time_ms: index }, 1),
    ),
  )
  const lost = outcomes.filter(({ status }) => status === 'rejected').map(({ reason }) => reason)
  expect(lost).toHaveLength(9)
  for (const error of lost) {
    expect(error).toBeInstanceOf(ConcurrencyError)
    expect(error).toMatchObject({ expectedVersion: 1, actualVersion: 2 })
  }
  const winner = outcomes.findIndex(({ status }) => status === 'fulfilled')
  expect(await managers[0].getSession(state.session_id)).toMatchObject({
    version: 2,
    total_time_ms: winner,
  })
})

test('an update of no session is refused', async () => {
  const manager = await onFastPath()
  const state = makeState()
  const error = await refusalOf(() => manager.updateSession(state.session_id, state, 1))
  expect(error).toBeInstanceOf(SessionNotFoundError)
})

test.each([
  ['inherited', (state) => Object.assign(Object.create(state), { status: 'paused' })],
  [
    'not enumerable',
    (state) => Object.defineProperty({ ...state }, 'participants', { enumerable: false }),
  ],
  [
    'what its toJSON() makes of it',
    (state) => ({ ...state, toJSON: () => ({ version: 2, a: 1 }) }),
  ],
])('a state whose fields are %s is not taken for one that has them', async (_what, disguised) => {
  const manager = await onFastPath()
  const state = await outage.given()
  const error = await refusalOf(() => manager.updateSession(state.session_id, disguised(state), 1))
  expect(error).toMatchObject({ code: 'INVALID_STATE' })
  expect(await outage.stored(state.session_id)).toMatchObject({ version: 1 })
})

test('one document that is for the core to read leaves the fast path to the others', async () => {
  const manager = await onFastPath()
  const odd = makeState({ note: 'a \ufffd b' })
  await outage.redis.set(`session:${odd.session_id}`, JSON.stringify(odd))
  await outage.redis.rpush('session:list', 'x')
  expect(await manager.getSession(odd.session_id)).toEqual(odd)
  await refusalOf(() => manager.getSession('list'))
  expect(await isCarried(() => manager.getSession('none'))).toBe(true)
})

test('a ledger has a TTL, also where the first that notes nothing was to give it one', async () => {
  const manager = await onFastPath()
  const state = await outage.given()
  await refusalOf(() => manager.updateSession(state.session_id, state, 7))
  await manager.updateSession(state.session_id, state, 1)
  const ledgers = await outage.redis.keys('synckairos:ledger:*')
  const ttls = await Promise.all(ledgers.map((key) => outage.redis.ttl(key)))
  expect(ttls.length).toBeGreaterThan(0)
  expect(Math.min(...ttls)).toBeGreaterThan(0)
})

test('a state that is refused, or is long, takes the other way', async () => {
  const manager = await onFastPath()
  const state = await outage.given()
  const wrong = { ...state, status: 'asleep' }
  const error = await refusalOf(() => manager.updateSession(state.session_id, wrong, 1))
  expect(error).toMatchObject({ code: 'INVALID_STATE', field: 'status' })
  await manager.updateSession(state.session_id, { ...state, blob: 'x'.repeat(100_000) }, 1)
  await manager.updateSession(state.session_id, { ...state, blob: 'é'.repeat(5000) }, 2)
  expect(await outage.stored(state.session_id)).toMatchObject({ version: 3 })
})

test('a server that has forgotten its scripts is told them again', async () => {
  const manager = await onFastPath()
  const state = await outage.given()
  await outage.redis.script('FLUSH')
  await manager.updateSession(state.session_id, state, 1)
  await manager.updateSession(state.session_id, state, 2)
  expect(await outage.stored(state.session_id)).toMatchObject({ version: 3 })
})

test('a write that is not awaited is seen by a read after it', async () => {
  const manager = await onFastPath()
  for (let round = 0; round < 50; round++) {
    const state = makeState()
    const writes = [manager.createSession(state)]
    const created = manager.getSession(state.session_id)
    writes.push(manager.updateSession(state.session_id, { ...state, total_time_ms: 1 }, 1))
    const updated = manager.getSession(state.session_id)
    writes.push(manager.deleteSession(state.session_id))
    const deleted = manager.getSession(state.session_id)
    await Promise.all(writes)
    expect((await created)?.version).toBeGreaterThanOrEqual(1)
    expect((await updated)?.total_time_ms).toBe(1)
    expect(await deleted).toBeNull()
  }
})

test('thousands in flight are each answered with their own', async () => {
  const manager = await onFastPath()
  const states = await Promise.all(Array.from({ length: 300 }, () => outage.given()))
  const ids = Array.from({ length: 5000 }, (_, index) => states[(index * 7) % 300].session_id)
  const read = await Promise.all(ids.map((id) => manager.getSession(id)))
  expect(read.map(({ session_id }) => session_id)).toEqual(ids)
  await Promise.all(
    states.map((state) => manager.updateSession(state.session_id, { ...state, mine: true }, 1)),
  )
  const updated = await manager.getSessions(states.map(({ session_id }) => session_id))
  expect(updated.every(({ version, mine }) => version === 2 && mine)).toBe(true)
})

describe('broadcasts', () => {
  /** What is broadcast to sessions of this name, as it comes. */
  async function listenTo(id) {
    const listener = outage.server.client()
    const heard = []
    listener.on('message', (_channel, text) => heard.push(JSON.parse(text).message))
    await listener.subscribe(`ws:${id}`)
    return heard
  }

  test('are heard as they were sent, and are carried', async () => {
    const manager = await onFastPath()
    const id = 'a "b" \\ c'
    const heard = await listenTo(id)
    const messages = [
      null,
      'Zoë \u{1f600} \ud800',
      { list: [], when: new Date(5) },
      'x'.repeat(100_000),
    ]
    for (const message of messages) await manager.broadcastToSession(id, message)
    expect(await isCarried(() => manager.broadcastToSession(id, 'last'))).toBe(true)
    await until(() => heard.includes('last'))
    expect(heard).toEqual([...JSON.parse(JSON.stringify(messages)), 'last'])
  })

  test('that are not awaited are heard in the order of their calls, whatever way they take', async () => {
    const manager = await outage.connected()
    const heard = await listenTo('ordered')
    const sent = []
    for (let round = 0; round < 60; round++) {
      // The first ones go through the core, and so does a long one.
      const message = round === 40 ? [round, 'x'.repeat(100_000)] : [round]
      for (let again = 0; again < 5; again++) {
        sent.push(message)
        manager.broadcastToSession('ordered', message)
      }
      await manager.getSession('any')
    }
    await until(() => heard.length >= sent.length)
    expect(heard.map(([round]) => round)).toEqual(sent.map(([round]) => round))
    await until(() => isCarried(() => manager.broadcastToSession('ordered', 0)))
  })

  test('of one session stay in their order when they are many, some long, and the connection lags', async () => {
    const manager = await onFastPath()
    const heard = await listenTo('ordered')
    const held = outage.proxy.hold('ordered')
    const numbers = Array.from({ length: 400 }, (_, number) => number)
    const message = (number) => (number === 300 ? [number, 'x'.repeat(100_000)] : [number])
    const all = numbers.map((number) => manager.broadcastToSession('ordered', message(number)))
    const others = numbers.map((number) => manager.broadcastToSession(`other-${number}`, number))
    const { release } = await held
    await Promise.all(others) // By the other way, as there are too many before them.
    release()
    await Promise.all(all)
    await until(() => heard.length >= numbers.length)
    expect(heard.map(([number]) => number)).toEqual(numbers)
  })

  test('are not given up because their caller has held up the thread', async () => {
    const manager = await onFastPath()
    for (let round = 0; round < 3; round++) {
      const broadcast = manager.broadcastToSession('busy', round)
      const end = performance.now() + 2300
      while (performance.now() < end);
      await broadcast
    }
  }, 15_000)

  test('have channels whose names are no ASCII', async () => {
    const manager = await onFastPath({ wsChannelPrefix: 'zoë:' })
    const other = outage.manage(outage.server.url, { wsChannelPrefix: 'zoë:' })
    const heard = []
    other.subscribeToWebSocket((id, message) => heard.push([id, message]))
    await other.subscribed()
    await manager.broadcastToSession('a', 'ü')
    await until(() => heard.length > 0)
    expect(heard).toEqual([['a', 'ü']])
    expect(await isCarried(() => manager.broadcastToSession('a', 1))).toBe(true)
  })

  test('that lose their answers are not sent twice, and their outcome is unknown', async () => {
    const manager = await onFastPath()
    const heard = await listenTo('once')
    outage.proxy.mode = 'swallow'
    const lost = refusalOf(() => manager.broadcastToSession('once', 'lost'))
    await until(() => heard.length > 0)
    outage.proxy.mode = 'refuse'
    outage.proxy.reset()
    outage.proxy.mode = 'pass'
    expect(await lost).toBeInstanceOf(OutcomeUnknownError)
    expect(await lost).toMatchObject({ sessionId: 'once' })
    await manager.getSession('any') // Repeated until there is a connection again.
    await manager.broadcastToSession('once', 'last')
    await until(() => heard.includes('last'))
    expect(heard).toEqual(['lost', 'last'])
  })

  test('that were not sent yet when the connection fell silent are sent by the other way', async () => {
    const manager = await onFastPath()
    const heard = await listenTo('many')
    outage.proxy.strand()
    const numbers = Array.from({ length: 400 }, (_, number) => number)
    const outcomes = await Promise.all(
      numbers.map((number) => outcomeOf(manager.broadcastToSession('many', number))),
    )
    // Of those nobody knows; and as the others came, they were sent.
    const unknown = numbers.filter((number) => outcomes[number] !== 'done')
    expect(unknown.length).toBeGreaterThan(0)
    expect(new Set(unknown.map((number) => outcomes[number]))).toEqual(
      new Set([OutcomeUnknownError.name]),
    )
    const done = numbers.filter((number) => outcomes[number] === 'done')
    expect(done.length).toBeGreaterThan(0)
    await until(() => heard.length >= done.length)
    expect(heard).toEqual(done)
  })

  test('that are refused are refused as by the other way', async () => {
    const rights = ['on', '>secret', 'allcommands', 'allkeys', 'allchannels']
    await outage.redis.acl('SETUSER', 'silent', ...rights)
    const url = outage.proxy.url.replace('://', '://silent:secret@')
    const manager = await onFastPath(undefined, { url })
    await outage.redis.acl('SETUSER', 'silent', 'resetchannels')
    const error = await refusalOf(() => manager.broadcastToSession('s', 1))
    expect(error).toBeInstanceOf(RedisReplyError)
    expect(error.message).toMatch(/NOPERM/)
    expect(await isCarried(() => manager.getSession('none'))).toBe(true)
    await manager.close()
    await outage.redis.acl('DELUSER', 'silent')
  })
})

describe('when the connection fails', () => {
  test('an update whose answer was lost is counted once', async () => {
    const manager = await onFastPath()
    const state = await outage.given()
    outage.proxy.mode = 'swallow'
    const update = outcomeOf(manager.updateSession(state.session_id, state, 1))
    await until(async () => (await outage.stored(state.session_id)).version === 2)
    outage.proxy.mode = 'refuse'
    outage.proxy.reset()
    outage.proxy.mode = 'pass'
    expect(await update).toBe('done')
    expect(await outage.stored(state.session_id)).toMatchObject({ version: 2 })
  })

  test('one that falls silent costs time, and neither a read nor an update', async () => {
    const manager = await onFastPath()
    const state = await outage.given()
    outage.proxy.strand()
    const several = manager.getSessions([state.session_id, 'none'])
    const read = manager.getSession(state.session_id)
    const update = manager.updateSession(state.session_id, { ...state, total_time_ms: 5 }, 1)
    expect(await several).toMatchObject([{ session_id: state.session_id }, null])
    expect(await read).toMatchObject({ session_id: state.session_id })
    await update
    expect(await outage.stored(state.session_id)).toMatchObject({ version: 2, total_time_ms: 5 })
  })

  test('no deadline is missed while the core ends it', async () => {
    const client = createRedisClient(outage.proxy.url)
    const manager = await onFastPath(undefined, { url: client })
    const other = outage.manage(client, { commandTimeoutMs: 600 })
    const state = await outage.given()
    await outage.redis.call('CLIENT', 'PAUSE', '3500')
    const begun = performance.now()
    const update = manager.updateSession(state.session_id, state, 1)
    // Later than the update, so that the core's own connection is not yet given up when it is asked
    // to end the other.
    await until(() => performance.now() - begun > 1000)
    let slowest = 0
    let isDone = false
    update.finally(() => {
      isDone = true
    })
    while (!isDone) {
      const started = performance.now()
      await outcomeOf(other.getSession('any'))
      slowest = Math.max(slowest, performance.now() - started)
    }
    await update
    expect(slowest).toBeLessThan(1000)
  })

  test('what has not been sent yet waits no longer than what has', async () => {
    const manager = await onFastPath()
    const states = await Promise.all(Array.from({ length: 400 }, () => outage.given()))
    outage.proxy.strand()
    await Promise.all(states.map((state) => manager.updateSession(state.session_id, state, 1)))
    const updated = await manager.getSessions(states.map(({ session_id }) => session_id))
    expect(updated.map(({ version }) => version)).toEqual(Array(400).fill(2))
  })

  test('its first try, when it comes late, changes nothing more', async () => {
    const manager = await onFastPath()
    const state = await outage.given()
    const held = outage.proxy.hold(state.session_id)
    const update = manager.updateSession(state.session_id, { ...state, total_time_ms: 7 }, 1)
    const { release } = await held
    await update
    await manager.updateSession(state.session_id, { ...state, total_time_ms: 8 }, 2)
    release()
    await outage.redis.ping()
    expect(await outage.stored(state.session_id)).toMatchObject({ version: 3, total_time_ms: 8 })
  })

  test('its first try, when it comes late, does no harm to the next life of the session', async () => {
    const manager = await onFastPath()
    const state = await outage.given()
    const held = outage.proxy.hold(state.session_id)
    const update = manager.updateSession(state.session_id, { ...state, total_time_ms: 7 }, 1)
    const { release } = await held
    await update
    await manager.createSession({ ...state, total_time_ms: 9 })
    release()
    await outage.redis.ping()
    expect(await outage.stored(state.session_id)).toMatchObject({ version: 1, total_time_ms: 9 })
  })

  test('calls in flight survive connections that are killed again and again', async () => {
    const manager = await onFastPath()
    const states = await Promise.all(Array.from({ length: 20 }, () => outage.given()))
    let updates = 0
    const counts = await Promise.all(
      states.map(async ({ session_id: id }) => {
        for (let count = 1; count <= 50; count++) {
          const current = await manager.getSession(id)
          await manager.updateSession(id, { ...current, count }, current.version)
          if (++updates % 100 === 0) outage.proxy.reset()
        }
        return (await manager.getSession(id)).count
      }),
    )
    expect(counts).toEqual(Array(20).fill(50))
    const stored = await Promise.all(states.map(({ session_id: id }) => outage.stored(id)))
    expect(stored.map(({ version }) => version)).toEqual(Array(20).fill(51))
  })

  test('a server that has become read-only is left to whoever waits for a better one', async () => {
    const manager = await onFastPath()
    const state = await outage.given()
    await outage.redis.replicaof('127.0.0.1', '1')
    const update = manager.updateSession(state.session_id, state, 1)
    await outage.redis.replicaof('NO', 'ONE')
    await update
    expect(await outage.stored(state.session_id)).toMatchObject({ version: 2 })
  })
})

test('close() settles what is in flight and leaves no connection behind', async () => {
  const manager = await onFastPath()
  const state = await outage.given()
  const calls = Array.from({ length: 50 }, () => manager.getSession(state.session_id))
  calls.push(manager.updateSession(state.session_id, state, 1))
  calls.push(manager.broadcastToSession(state.session_id, 'bye'))
  await null // They are sent.
  const closed = manager.close()
  const settled = await Promise.allSettled(calls)
  expect(settled.map(({ status }) => status)).toEqual(Array(52).fill('fulfilled'))
  await closed
  await until(async () => !String(await outage.redis.client('LIST')).includes('cmd=get '))
})

test('close() does not wait for answers that do not come', async () => {
  const manager = await onFastPath()
  outage.proxy.strand()
  const broadcast = outcomeOf(manager.broadcastToSession('s', 1))
  const update = outcomeOf(manager.updateSession('s', makeState({ session_id: 's' }), 1))
  const read = outcomeOf(manager.getSession('s'))
  await null // They are sent.
  const started = performance.now()
  await manager.close()
  expect(performance.now() - started).toBeLessThan(1500)
  expect(await broadcast).toBe(OutcomeUnknownError.name)
  expect(await update).toBe(OutcomeUnknownError.name)
  expect(await read).not.toBe('done')
})

test('a name, a password and a database are used', async () => {
  await outage.redis.acl(
    'SETUSER',
    'carrier',
    'on',
    '>secret',
    'allcommands',
    'allkeys',
    'allchannels',
  )
  const url = outage.proxy.url.replace('://', '://carrier:secret@')
  const manager = new RedisStateManager(`${url}/3`)
  const state = makeState()
  await manager.createSession(state)
  const carried = async () => {
    await manager.getSession(state.session_id)
    const clients = String(await outage.redis.client('LIST')).split('\n')
    return clients.some((line) =>
      / name=synckairos-state:fast-path:.* db=3 .*cmd=get user=carrier/.test(line),
    )
  }
  await until(carried)
  await manager.close()
  await outage.redis.acl('DELUSER', 'carrier')
})
