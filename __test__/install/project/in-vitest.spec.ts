import * as api from 'synckairos-state'
import { ConcurrencyError } from 'synckairos-state/errors/StateErrors'
import { createTestStore } from 'synckairos-state/testing'
import { expect, test } from 'vitest'
import exercise from './exercise.cjs'

test('works in the sandbox of Vitest', async () => {
  expect(api.ConcurrencyError).toBe(ConcurrencyError)
  await exercise(api)
})

test('a store for tests works there, too', async () => {
  const store = createTestStore()
  await exercise(api, store.url)
  await store.close()
})
