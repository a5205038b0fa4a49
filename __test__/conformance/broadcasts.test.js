'use strict'

const { engines } = require('../harness/engines.js')
const { makeState } = require('../harness/sessions.js')
const { until } = require('../harness/until.js')

describe.each(engines)('$engine', ({ use }) => {
  const store = use()

  /** What another instance hears of broadcasts to any session, each with its session's id. */
  async function listen(options) {
    const heard = []
    const other = store.open(options)
    other.subscribeToWebSocket((id, message) => heard.push([id, message]))
    await other.subscribed()
    return heard
  }

  test('a message is heard as it was sent, whatever it holds', async () => {
    const manager = store.open()
    const id = 'a "b" \\ c'
    const heard = await listen()
    const messages = [
      null,
      'Zoë \u{1f600} \ud800',
      { list: [], when: new Date(5) },
      'x'.repeat(100_000),
    ]
    for (const message of messages) await manager.broadcastToSession(id, message)
    await until(() => heard.length >= messages.length)
    expect(heard).toEqual(messages.map((message) => [id, JSON.parse(JSON.stringify(message))]))
  })

  test('broadcasts that are not awaited are heard in the order of their calls', async () => {
    const manager = store.open()
    const heard = await listen()
    const sent = []
    for (let round = 0; round < 60; round++) {
      const message = round === 40 ? [round, 'x'.repeat(100_000)] : [round]
      for (let again = 0; again < 5; again++) {
        sent.push(message)
        manager.broadcastToSession('ordered', message)
      }
      await manager.getSession('any')
    }
    await until(() => heard.length >= sent.length)
    expect(heard.map(([, [round]]) => round)).toEqual(sent.map(([round]) => round))
  })

  test('a message comes after the update that was called before it', async () => {
    const manager = store.open()
    const other = store.open()
    const heard = []
    other.subscribeToUpdates((_id, state) => heard.push(state === null ? 'deleted' : state.version))
    other.subscribeToWebSocket((_id, message) => heard.push(message))
    await other.subscribed()
    const state = makeState()
    const id = state.session_id
    manager.createSession(state)
    manager.broadcastToSession(id, 'created')
    manager.updateSession(id, state, 1)
    manager.broadcastToSession(id, 'updated')
    await manager.deleteSession(id)
    await until(() => heard.length === 5)
    expect(heard).toEqual([1, 'created', 2, 'updated', 'deleted'])
  })

  test('a channel may have a name that is not ASCII, and any pattern in it', async () => {
    for (const wsChannelPrefix of ['zoë:', 'w*s?[x]:']) {
      const heard = await listen({ wsChannelPrefix })
      await store.open({ wsChannelPrefix: 'other:' }).broadcastToSession('a', 'no')
      await store.open({ wsChannelPrefix }).broadcastToSession('a', 'ü')
      await until(() => heard.length > 0)
      expect(heard).toEqual([['a', 'ü']])
    }
  })
})
