'use strict'

const { recordingLogger } = require('../harness/recording-logger.js')
const { makeState } = require('../harness/sessions.js')
const { until } = require('../harness/until.js')
const { engines } = require('../harness/engines.js')

describe.each(engines)('$engine', ({ use }) => {
  const store = use()

  /** A manager that is closed after the test, and its logger. */
  function manage() {
    const logger = recordingLogger()
    return { manager: store.open({ logger }), told: logger.told }
  }

  /** The two ways to subscribe, and how to make the callbacks be called with a number. */
  const WAYS = [
    [
      'updates',
      {
        subscribe: (manager, callback) =>
          manager.subscribeToUpdates((id, state) => callback(id, state?.increment_ms)),
        send: (manager, id, n) =>
          manager.updateSession(id, makeState({ session_id: id, increment_ms: n })),
      },
    ],
    [
      'WebSocket messages',
      {
        subscribe: (manager, callback) => manager.subscribeToWebSocket(callback),
        send: (manager, id, n) => manager.broadcastToSession(id, n),
      },
    ],
  ]

  describe.each(WAYS)('callbacks for %s', (_what, { subscribe, send }) => {
    test('one that throws is reported, and the next callback and the next message come', async () => {
      const { manager, told } = manage()
      const heard = []
      subscribe(manager, () => {
        throw new Error('a mistake')
      })
      subscribe(manager, (_id, n) => heard.push(n))
      await manager.subscribed()
      await send(manager, 'thrower', 1)
      await send(manager, 'thrower', 2)
      await until(() => heard.length >= 2)
      expect(heard).toEqual([1, 2])
      expect(told.error).toHaveLength(2)
      expect(told.error[0]).toMatchObject({ sessionId: 'thrower', err: { message: 'a mistake' } })
    })

    test('one whose promise rejects is reported, and is no unhandled rejection', async () => {
      const { manager, told } = manage()
      const heard = []
      subscribe(manager, async () => {
        throw new Error('a late mistake')
      })
      subscribe(manager, (_id, n) => heard.push(n))
      await manager.subscribed()
      await send(manager, 'rejecter', 1)
      await send(manager, 'rejecter', 2)
      await until(() => told.error.length >= 2)
      expect(heard).toEqual([1, 2])
      expect(told.error[1]).toMatchObject({
        sessionId: 'rejecter',
        err: { message: 'a late mistake' },
      })
    })

    test('one that throws no error at all is reported all the same', async () => {
      const { manager, told } = manage()
      subscribe(manager, () => {
        throw undefined
      })
      await manager.subscribed()
      await send(manager, 'odd', 1)
      await until(() => told.error.length === 1)
    })

    test('ten subscribers each get every message, in order', async () => {
      const { manager } = manage()
      const heard = Array.from({ length: 10 }, () => [])
      for (const list of heard) subscribe(manager, (_id, n) => list.push(n))
      await manager.subscribed()
      for (let n = 1; n <= 20; n++) await send(manager, 'ten', n)
      await until(() => heard[9].length >= 20)
      const expected = Array.from({ length: 20 }, (_, index) => index + 1)
      for (const list of heard) expect(list).toEqual(expected)
    })

    test('the same function subscribed twice is called twice, and unsubscribed one by one', async () => {
      const { manager } = manage()
      const heard = []
      const callback = (_id, n) => heard.push(n)
      const first = subscribe(manager, callback)
      subscribe(manager, callback)
      await manager.subscribed()
      await send(manager, 'twice', 1)
      await until(() => heard.length >= 2)
      first()
      first()
      await send(manager, 'twice', 2)
      await send(manager, 'twice', 3)
      await until(() => heard.includes(3))
      expect(heard).toEqual([1, 1, 2, 3])
    })

    test('a callback may unsubscribe itself', async () => {
      const { manager } = manage()
      const heard = { once: [], always: [] }
      const unsubscribe = subscribe(manager, (_id, n) => {
        heard.once.push(n)
        unsubscribe()
      })
      subscribe(manager, (_id, n) => heard.always.push(n))
      await manager.subscribed()
      for (let n = 1; n <= 3; n++) await send(manager, 'once', n)
      await until(() => heard.always.length >= 3)
      expect(heard).toEqual({ once: [1], always: [1, 2, 3] })
    })

    test('a callback that another has unsubscribed is not called again', async () => {
      const { manager } = manage()
      const heard = { second: [], last: [] }
      let unsubscribe
      subscribe(manager, (_id, n) => {
        if (n === 2) unsubscribe()
      })
      unsubscribe = subscribe(manager, (_id, n) => heard.second.push(n))
      subscribe(manager, (_id, n) => heard.last.push(n))
      await manager.subscribed()
      for (let n = 1; n <= 3; n++) await send(manager, 'other', n)
      await until(() => heard.last.length >= 3)
      expect(heard).toEqual({ second: [1], last: [1, 2, 3] })
    })

    test('a callback that another has subscribed gets the next messages', async () => {
      const { manager } = manage()
      const heard = []
      let added = false
      subscribe(manager, () => {
        if (added) return
        added = true
        subscribe(manager, (_id, n) => heard.push(n))
      })
      await manager.subscribed()
      for (let n = 1; n <= 3; n++) await send(manager, 'later', n)
      await until(() => heard.includes(3))
      expect(heard).toEqual([2, 3])
    })

    test('each of two managers hears of what the other does', async () => {
      const one = manage().manager
      const other = manage().manager
      const heard = { one: [], other: [] }
      subscribe(one, (id, n) => heard.one.push([id, n]))
      subscribe(other, (id, n) => heard.other.push([id, n]))
      await Promise.all([one.subscribed(), other.subscribed()])
      await send(one, 'a', 1)
      await send(other, 'b', 2)
      const expected = [
        ['a', 1],
        ['b', 2],
      ]
      await until(() => heard.one.length >= 2 && heard.other.length >= 2)
      expect(heard).toEqual({ one: expected, other: expected })
    })

    test('10 000 messages come in order, none missing and none twice', async () => {
      const { manager } = manage()
      const sender = manage().manager
      const heard = []
      subscribe(manager, (_id, n) => heard.push(n))
      await manager.subscribed()
      const count = 10_000
      for (let n = 1; n <= count; n += 500) {
        const some = Array.from({ length: 500 }, (_, index) => send(sender, 'many', n + index))
        await Promise.all(some)
      }
      await until(() => heard.length >= count)
      expect(heard).toHaveLength(count)
      expect(heard.every((n, index) => n === index + 1)).toBe(true)
    })
  })

  test('each subscriber gets a state and a message of its own', async () => {
    const { manager } = manage()
    const states = []
    const messages = []
    for (let n = 0; n < 2; n++) {
      manager.subscribeToUpdates((_id, state) => {
        states.push(structuredClone(state))
        state.participants[0].time_used_ms = -1
        state.created_at.setFullYear(1970)
      })
      manager.subscribeToWebSocket((_id, message) => {
        messages.push(structuredClone(message))
        message.list.push('mine')
      })
    }
    await manager.subscribed()
    const state = makeState()
    await manager.createSession(state)
    await manager.broadcastToSession(state.session_id, { list: [] })
    await until(() => states.length === 2 && messages.length === 2)
    expect(states[1]).toEqual(states[0])
    expect(states[0].participants[0].time_used_ms).toBe(0)
    expect(messages).toEqual([{ list: [] }, { list: [] }])
  })

  test('a deletion is null to the callback, also where there was no session', async () => {
    const { manager } = manage()
    const heard = []
    manager.subscribeToUpdates((id, state) => heard.push([id, state]))
    await manager.subscribed()
    await manager.deleteSession('never-there')
    await until(() => heard.length > 0)
    expect(heard).toEqual([['never-there', null]])
  })

  test('a callback may use its manager, and close it', async () => {
    const { manager, told } = manage()
    const heard = []
    let closed
    manager.subscribeToUpdates(async (id, state) => {
      heard.push([state.version, (await manager.getSession(id)).version])
      closed = manager.close()
    })
    await manager.subscribed()
    await manager.createSession(makeState())
    await until(() => closed !== undefined)
    await closed
    expect(heard).toEqual([[1, 1]])
    expect(told.error).toEqual([])
  })
})
