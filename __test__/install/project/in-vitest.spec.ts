import * as api from 'synckairos-state'
import { ConcurrencyError } from 'synckairos-state/errors/StateErrors'
import { expect, test } from 'vitest'
import exercise from './exercise.cjs'

test('works in the sandbox of Vitest', async () => {
  expect(api.ConcurrencyError).toBe(ConcurrencyError)
  await exercise(api)
})
