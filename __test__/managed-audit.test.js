'use strict'

const { Audit, running } = require('./harness/audit.js')
const { ManagedServer } = require('./harness/managed.js')
const { until } = require('./harness/until.js')

const audit = Audit.use()

async function managed(options) {
  const proxy = await ManagedServer.start(audit.server.port, options)
  audit.keep({ close: () => proxy.stop() })
  return proxy
}

/** What the logger is told of more than what the server refuses. */
const told = () => audit.logger.entries.filter(([, , text]) => !/CLIENT/.test(text))

test('a worker whose connections are cut again and again stores each change once, and nobody is told', async () => {
  const { url } = await managed({ refuses: ['HELLO', 'CLIENT', 'CONFIG'], ageMs: 2200 })
  const queue = audit.queue({ url })
  await queue.migrate()
  const errors = []
  queue.on('error', (error) => errors.push(error))
  // Whoever writes has a connection that lasts: what is acknowledged is counted here.
  const manager = audit.manage(audit.queue({ worker: false }))
  const state = running()
  await manager.createSession(state)
  const end = performance.now() + 8000
  let version = 1
  while (performance.now() < end) {
    await manager.updateSession(state.session_id, state, version++)
  }
  await queue.drained()
  expect(await audit.events()).toHaveLength(version)
  expect(errors).toEqual([])
  expect(told()).toEqual([])
}, 60_000)

test.each([
  ['CLIENT', ['CLIENT']],
  ['CLIENT UNBLOCK', ['CLIENT|UNBLOCK']],
  ['HELLO', ['HELLO']],
])(
  'a worker whose server refuses %s closes in time, and leaves nothing claimed',
  async (_what, refuses) => {
    const { url } = await managed({ refuses })
    await audit.queue({ worker: false }).migrate()
    for (let times = 0; times < 3; times++) {
      const queue = audit.queue({ url })
      await until(async () => (await audit.workers()) === times + 1)
      const began = performance.now()
      await queue.close()
      expect(performance.now() - began).toBeLessThan(900)
    }
    const other = audit.queue()
    await other.queueWrite('session', running(), 'x')
    await other.drained()
    expect(await audit.events()).toHaveLength(1)
    expect(await audit.pending()).toBe(0)
  },
)
