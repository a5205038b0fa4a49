'use strict'

const { runScript } = require('./harness/child.js')
const { entries } = require('./harness/entries.js')

const PACKAGE = 'synckairos-state'

test.each(entries)('%s: import and require give the same names and classes', async (entry) => {
  const source = `require('./__test__/processes/import-and-require.js')`
  const { stdout, stderr } = await runScript(source, { env: { ENTRY: entry } })
  expect(stderr).toBe('')
  const { names, same } = JSON.parse(stdout)
  expect(names[0].length).toBeGreaterThan(0)
  expect(names[1]).toEqual(names[0])
  expect(same).toBe(true)
})

test('the subpaths, but for that of tests, have together what the root has, and the same', () => {
  const isForTests = (entry) => /\/testing(\.js)?$/.test(entry)
  const subpaths = entries.filter((entry) => entry !== PACKAGE && !isForTests(entry))
  const all = subpaths.map((entry) => require(entry))
  expect(Object.assign({}, ...all)).toEqual(require(PACKAGE))
})

test('where a service had them, it finds the names of its own files', () => {
  expect(require(`${PACKAGE}/state/RedisStateManager`)).toHaveProperty('RedisStateManager')
  expect(require(`${PACKAGE}/state/DBWriteQueue`)).toHaveProperty('DBWriteQueue')
  expect(require(`${PACKAGE}/errors/StateErrors`)).toHaveProperty('SessionNotFoundError')
  expect(require(`${PACKAGE}/config/redis`)).toHaveProperty('createRedisClient')
  expect(require(`${PACKAGE}/types/session`)).toHaveProperty('SyncStatus')
})
