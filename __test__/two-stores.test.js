'use strict'

// A manager on one store or server, and its queue on another.

const { DBWriteQueue } = require('..')
const { Managers } = require('./harness/managers.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { RedisServer } = require('./harness/redis.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const open = new Managers()
afterEach(() => open.close())

let names = 0
/** The URL of a store that no other test uses. */
const aStore = () => `memory://two-stores-test-${++names}`

const manager = (url, options) => open.open(url, options)
const queue = (url, options) => open.keep(new DBWriteQueue(url, { worker: false, ...options }))

let server
beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server.stop())

test.each([
  ['another store', aStore, aStore],
  ['a Redis', aStore, () => server.url],
  ['a store, of sessions on a Redis', () => server.url, aStore],
])(
  'a record goes to a queue on %s after its change, and the logger is warned',
  async (_what, ofSessions, ofQueue) => {
    const logger = recordingLogger()
    const audit = queue(ofQueue(), { queueName: `two-stores-test-${++names}` })
    const sessions = manager(ofSessions(), { queue: audit, logger })
    await sessions.createSession(makeState())
    await until(async () => (await audit.getMetrics()).waiting === 1)
    expect(logger.told.warn).toEqual([
      { message: expect.stringContaining('on another Redis or memory: store') },
    ])
  },
)
