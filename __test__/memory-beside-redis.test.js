'use strict'

const { DBWriteQueue } = require('..')
const { Managers } = require('./harness/managers.js')
const { recordingLogger } = require('./harness/recording-logger.js')
const { RedisServer } = require('./harness/redis.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

let server
const open = new Managers()
beforeAll(async () => {
  server = await RedisServer.start()
})
afterEach(() => open.close())
afterAll(() => server.stop())

test.each([
  ['Redis', 'memory:', () => 'memory:', () => server.url],
  ['memory:', 'Redis', () => server.url, () => 'memory:'],
])(
  'records of a queue on %s are queued after the changes on %s, and the logger is warned',
  async (_queue, _sessions, ofSessions, ofQueue) => {
    const logger = recordingLogger()
    const queue = open.keep(new DBWriteQueue(ofQueue(), { worker: false }))
    await open.open(ofSessions(), { queue, logger }).createSession(makeState())
    await until(async () => (await queue.getMetrics()).waiting === 1)
    expect(logger.told.warn).toEqual([
      { message: expect.stringContaining('on another Redis or memory: store') },
    ])
  },
)
