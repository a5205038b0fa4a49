const exercise = require('./exercise.cjs')

test('works in the sandbox of Jest', async () => {
  const { ConcurrencyError } = require('synckairos-state/errors/StateErrors')
  expect(require('synckairos-state').ConcurrencyError).toBe(ConcurrencyError)
  await exercise(require('synckairos-state'))
})
