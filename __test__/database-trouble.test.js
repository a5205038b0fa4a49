'use strict'

const { Audit, running } = require('./harness/audit.js')
const { PostgresProxy, message, report } = require('./harness/postgres-proxy.js')
const { until } = require('./harness/until.js')

const audit = Audit.use()

let proxy

beforeEach(async () => {
  await audit.queue({ worker: false }).migrate()
  proxy = await PostgresProxy.start(audit.postgres.port)
  audit.keep({ close: () => proxy.stop() })
})

/** A queue whose records go by way of the proxy. */
function queueByProxy() {
  const url = new URL(audit.databaseUrl)
  url.port = proxy.port
  const queue = audit.queue({ databaseUrl: url.href, backoffDelay: 20 })
  const errors = []
  queue.on('error', (error) => errors.push(error))
  return { queue, errors }
}

async function write(queue, id) {
  await queue.queueWrite(id, running({ session_id: id }), 'session_updated')
}

const stored = async () => (await audit.events()).map(({ session_id: id }) => id).sort()

const WRONG = [
  ['an empty ReadyForQuery', message('Z')],
  ['an empty Authentication', message('R')],
  ['an empty ErrorResponse', message('E')],
  ['a message of length 0', message('C', '', 0)],
  ['a message of length 3', message('S', '', 3)],
  ['a message of 4 GB', message('D', '', 0xffff_ffff)],
  ['an unknown message', message('!')],
  ['an empty RowDescription', message('T')],
  ['an empty DataRow', message('D')],
  ['an empty CommandComplete and more', Buffer.concat([message('C'), message('Z', 'I')])],
  ['another protocol', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
]

describe('a server that breaks the protocol once is told, and tried again', () => {
  test.each(WRONG)(
    '%s, while connecting',
    async (_what, bytes) => {
      proxy.garbled = bytes
      const { queue, errors } = queueByProxy()
      await write(queue, 'a')
      await queue.drained()
      expect(await stored()).toEqual(['a'])
      expect((await queue.getMetrics()).failed).toBe(0)
      expect(errors).toHaveLength(1)
      expect(errors[0].message).toContain(`127.0.0.1:${proxy.port}`)
    },
    20_000,
  )

  test.each(WRONG)(
    '%s, in a statement',
    async (_what, bytes) => {
      const { queue, errors } = queueByProxy()
      await write(queue, 'a')
      await queue.drained()
      proxy.garbled = bytes
      await write(queue, 'b')
      await write(queue, 'c')
      await queue.drained()
      expect(await stored()).toEqual(['a', 'b', 'c'])
      expect((await queue.getMetrics()).failed).toBe(0)
      expect(errors.length).toBeLessThan(2) // None where an idle connection was replaced.
    },
    40_000,
  )
})

describe('NOTICEs without end', () => {
  const notice = report('N', '00000', 'once upon a time')

  test.each(['while connecting', 'in a statement'])(
    'do not hold up a close (%s)',
    async (when) => {
      const { queue } = queueByProxy()
      if (when === 'in a statement') {
        await write(queue, 'a')
        await queue.drained()
      }
      proxy.flood = notice
      await write(queue, 'b')
      await until(() => proxy.flood === undefined)
      const started = performance.now()
      await queue.close()
      expect(performance.now() - started).toBeLessThan(11_000)
    },
    30_000,
  )

  test('end with the time limit of the connection', async () => {
    proxy.flood = notice
    const { queue, errors } = queueByProxy()
    await write(queue, 'a')
    await queue.drained()
    expect(await stored()).toEqual(['a'])
    expect(errors[0].message).toContain('did not answer within 5 s')
  }, 30_000)
})

test('a silent address does not keep the others from being tried', async () => {
  proxy.garbled = Buffer.alloc(0) // It takes the connection, and says nothing.
  const { port, pathname } = new URL(audit.databaseUrl)
  const databaseUrl = `postgres://postgres@127.0.0.1:${proxy.port},127.0.0.1:${port}${pathname}`
  const queue = audit.queue({ databaseUrl })
  const errors = []
  queue.on('error', (error) => errors.push(error))
  await write(queue, 'a')
  await queue.drained()
  expect(await stored()).toEqual(['a'])
  expect(errors).toEqual([])
}, 20_000)

test('a standby is left for the host that takes writes', async () => {
  const greeting = [message('R', '\x00\x00\x00\x00')]
  for (const [name, value] of [
    ['server_version', '15.0'],
    ['in_hot_standby', 'on'],
  ]) {
    greeting.push(message('S', `${name}\x00${value}\x00`))
  }
  proxy.refusal = Buffer.concat([...greeting, message('Z', 'I')])
  const { port, pathname } = new URL(audit.databaseUrl)
  const databaseUrl = `postgres://postgres@127.0.0.1:${proxy.port},127.0.0.1:${port}${pathname}`
  const queue = audit.queue({ databaseUrl, backoffDelay: 20 })
  await write(queue, 'a')
  await until(async () => (await stored()).length > 0, 5000)
}, 20_000)

test('an error names all addresses, and the reason', async () => {
  const queue = audit.queue({ databaseUrl: 'postgres://u:hunter2@127.0.0.1:1,127.0.0.1:2/d' })
  const error = await queue.migrate().catch((error) => error)
  expect(error.message).toMatch(/refused.*127\.0\.0\.1:1, 127\.0\.0\.1:2/)
})
