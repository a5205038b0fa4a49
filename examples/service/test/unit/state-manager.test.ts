import { Gauge } from 'prom-client'
import { createTestStore } from 'synckairos-state/testing'
import { newClock } from '@/clock/clock'
import { StateManager } from '@/state/StateManager'

test('the gauge counts the sessions that were created and not deleted, and no failure', async () => {
  const store = createTestStore()
  const gauge = new Gauge({ name: 'sessions', help: 'Sessions', registers: [] })
  const manager = new StateManager(gauge, store.client(), null, null)
  const sessions = async () => (await gauge.get()).values[0]?.value

  for (const id of ['a', 'b']) {
    await manager.createSession(newClock(id, { participants: ['alice', 'bob'], time_ms: 1000 }))
  }
  expect(await sessions()).toBe(2)

  store.refuse('OOM command not allowed')
  await manager.deleteSession('a').catch(() => {})
  expect(await sessions()).toBe(2)

  await manager.deleteSession('a')
  expect(await sessions()).toBe(1)
  await manager.close()
  await store.close()
})
