// What `__test__/testing-kit.test.js` runs with `node --test`.

import assert from 'node:assert/strict'
import { afterEach, beforeEach, mock, test } from 'node:test'
import { OutcomeUnknownError } from 'synckairos-state'
import { createTestStore } from 'synckairos-state/testing'
import { makeState } from './sessions.js'

const state = makeState({ session_id: 'a' })

let store
beforeEach(() => {
  store = createTestStore()
})
afterEach(() => store.close())

test('a session expires, and a lost answer is told', async () => {
  const manager = store.manager()
  store.loseAnswers(1)
  await assert.rejects(manager.createSession(state), OutcomeUnknownError)
  assert.equal((await manager.getSession('a')).version, 1)
  store.clock.advance(3_600_000)
  assert.equal(await manager.getSession('a'), null)
})

test('faked timers stop nothing', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'setImmediate', 'Date'], now: 1000 })
  try {
    const manager = store.manager()
    const heard = []
    manager.subscribeToUpdates((_id, session) => heard.push(session.version))
    await manager.subscribed()
    await manager.createSession(state)
    await store.gap(() => manager.modifySession('a', (session) => session))
    assert.deepEqual(heard, [1, 2])
    assert.equal((await manager.getSession('a')).created_at.getTime(), 1000)
    await store.close()
  } finally {
    mock.timers.reset()
  }
})
