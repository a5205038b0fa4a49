const exercise = require('./exercise.cjs')

test('works in the sandbox of Jest', async () => {
  const { ConcurrencyError } = require('synckairos-state/errors/StateErrors')
  expect(require('synckairos-state').ConcurrencyError).toBe(ConcurrencyError)
  await exercise(require('synckairos-state'))
})

test('a store for tests works there, too', async () => {
  const store = require('synckairos-state/testing').createTestStore()
  await exercise(require('synckairos-state'), store.url)
  await store.close()
})
