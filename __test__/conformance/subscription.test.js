'use strict'

const { ClosedError } = require('../..')
const { engines } = require('../harness/engines.js')
const { makeState } = require('../harness/sessions.js')
const { until } = require('../harness/until.js')

describe.each(engines)('$engine', ({ use }) => {
  const store = use()

  test('a subscriber of the one kind hears nothing of the other', async () => {
    const writer = store.open()
    const heard = { updates: [], messages: [] }
    const one = store.open()
    one.subscribeToUpdates((id) => heard.updates.push(id))
    const other = store.open()
    other.subscribeToWebSocket((id, message) => heard.messages.push([id, message]))
    await Promise.all([one.subscribed(), other.subscribed()])
    const state = makeState()
    await writer.createSession(state)
    await writer.broadcastToSession(state.session_id, 'hello')
    await writer.deleteSession(state.session_id)
    await until(() => heard.updates.length >= 2 && heard.messages.length >= 1)
    expect(heard).toEqual({
      updates: [state.session_id, state.session_id],
      messages: [[state.session_id, 'hello']],
    })
  })

  test('no callback is called during the call that causes it', async () => {
    const manager = store.open()
    const heard = []
    manager.subscribeToUpdates((id) => heard.push(id))
    await manager.subscribed()
    const deleted = manager.deleteSession('s')
    expect(heard).toEqual([])
    await deleted
    await until(() => heard.length === 1)
  })

  test('what is published before a subscription is not heard', async () => {
    const [writer, manager] = [store.open(), store.open()]
    await writer.deleteSession('before')
    const heard = []
    manager.subscribeToUpdates((id) => heard.push(id))
    await manager.subscribed()
    await writer.deleteSession('after')
    await until(() => heard.length > 0)
    expect(heard).toEqual(['after'])
  })

  test('after the last unsubscription nothing is heard until the next subscription', async () => {
    const [writer, manager] = [store.open(), store.open()]
    const heard = []
    const callback = (id) => heard.push(id)
    manager.subscribeToUpdates(callback)()
    await writer.deleteSession('meanwhile')
    manager.subscribeToUpdates(callback)
    await manager.subscribed()
    await writer.deleteSession('after')
    await until(() => heard.includes('after'))
    expect(heard).toEqual(['after'])
  })

  test('a manager hears of the sessions of its own key prefix', async () => {
    const heard = await store.listen()
    const state = makeState()
    await store.open({ keyPrefix: 'other:' }).createSession(state)
    await store.open().createSession(state)
    await until(() => heard.length > 0)
    expect(heard.map(([id]) => id)).toEqual([state.session_id])
  })

  describe('subscribed()', () => {
    test('resolves at once where nothing is subscribed', async () => {
      await store.open().subscribed()
    })

    test('rejects after its manager is closed', async () => {
      const manager = store.open()
      manager.subscribeToUpdates(() => {})
      await manager.subscribed()
      await manager.close()
      await expect(manager.subscribed()).rejects.toBeInstanceOf(ClosedError)
    })
  })
})
