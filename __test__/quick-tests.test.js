'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { runScript } = require('./harness/child.js')
const { PgBouncer } = require('./harness/pgbouncer.js')
const { PostgresServer } = require('./harness/postgres.js')
const { RedisServer } = require('./harness/redis.js')

const SELECTION = path.join(__dirname, '..', 'scripts', 'test-quick.mjs')

describe('where no server may be started', () => {
  const before = process.env.SYNCKAIROS_TEST_SERVERS
  beforeAll(() => {
    process.env.SYNCKAIROS_TEST_SERVERS = 'none'
  })
  afterAll(() => {
    if (before === undefined) delete process.env.SYNCKAIROS_TEST_SERVERS
    else process.env.SYNCKAIROS_TEST_SERVERS = before
  })

  test.each([
    ['redis-server', RedisServer],
    ['postgres', PostgresServer],
    ['pgbouncer', PgBouncer],
  ])('%s is refused', async (name, Server) => {
    await expect(Server.start()).rejects.toThrow(`${name} may not be started`)
  })
})

describe('the quick tests', () => {
  let selected

  beforeAll(async () => {
    const source = `import(${JSON.stringify(SELECTION)}).then(({ quickTests }) =>
      console.log(JSON.stringify(quickTests())))`
    const { stdout } = await runScript(source)
    selected = JSON.parse(stdout).map((file) => path.relative(__dirname, file))
  })

  test('are those that start no server, whatever they load', () => {
    expect(selected).toEqual(
      expect.arrayContaining(['demo.test.js', 'memory.test.js', 'testing-kit.test.js']),
    )
    // This one, one that starts a server, and one whose harness does.
    for (const name of ['quick-tests.test.js', 'client.test.js', 'readme.test.js']) {
      expect(selected).not.toContain(name)
    }
  })

  test('are not those that say that they are slow', () => {
    expect(selected).not.toContain('hostile-server.test.js')
  })

  test('are all those of the engines', () => {
    const directory = path.join(__dirname, 'conformance')
    const there = fs.existsSync(directory) ? fs.readdirSync(directory) : []
    const tests = there.filter((name) => name.endsWith('.test.js'))
    expect(selected).toEqual(expect.arrayContaining(tests.map((name) => `conformance/${name}`)))
  })
})
