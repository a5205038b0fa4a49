/** @slow It waits for as long as a call may take, for each of its servers. */

'use strict'

const { FakeServer } = require('./harness/fake-server.js')
const { Probe } = require('./harness/probe.js')
const { bulk } = require('./harness/requests.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

/** The deadline of the calls, ms. */
const TIMEOUT = 1500
const LATE = 500

let fake
let probe

beforeEach(async () => {
  fake = await FakeServer.start()
  await probeWith({ commandTimeoutMs: TIMEOUT })
})

afterEach(async () => {
  await probe.end()
  await fake.stop()
})

/** A process whose manager is connected, with all the connections that it makes under load. */
async function probeWith(options) {
  probe = new Probe(fake.url, options)
  for (let n = 0; n < 20; n++) expect((await probe.call('getSession', 'none')).name).toBe('done')
}

/** The process lives, its memory stays bounded, and its manager can be closed. */
async function expectUnharmed() {
  const { ms, grownMB } = await probe.close()
  expect(ms).toBeLessThan(2000)
  expect(grownMB).toBeLessThan(200)
}

/** A read ends by its deadline, with the server's name and the reason. */
async function expectRefused(why, method = 'getSession', args = ['s']) {
  const { name, message, ms } = await probe.call(method, ...args)
  expect(name).toBe('RedisUnavailableError')
  expect(ms).toBeLessThan(TIMEOUT + LATE)
  expect(message).toContain(`127.0.0.1:${fake.port}`)
  expect(message).toMatch(why)
  expect(message).not.toMatch(/Incompatible type|os error/)
}

const DEEP = 16_000
const documentOf = (id) => bulk(JSON.stringify(makeState({ session_id: id })))

/** No reply, and why. */
const NONSENSE = [
  ['lists in lists', '*1\r\n'.repeat(DEEP), /nest|deep|depth/i],
  ['maps in maps', '%1\r\n+k\r\n'.repeat(DEEP), /nest|deep|depth/i],
  ['sets in sets', '~1\r\n'.repeat(DEEP), /nest|deep|depth/i],
  ['pushes in pushes', '>1\r\n'.repeat(DEEP), /nest|deep|depth|push/i],
  ['attributes before attributes', '|1\r\n+k\r\n+v\r\n'.repeat(DEEP), /nest|deep|depth|attribute/i],
  ['a string of 1 TB', '$999999999999\r\n', /long|large|length|bytes|size/i],
  ['a list of 2 billion', '*2147483647\r\n', /long|large|length|many|elements|size/i],
  ['a map of 2 billion', '%2147483647\r\n', /long|large|length|many|elements|size/i],
  [
    'lists that announce more than they hold',
    '*1000000\r\n'.repeat(6),
    /long|large|many|elements|size|nest|deep|answer/i,
  ],
  ['a length below zero', '$-5\r\n', /length|negative|invalid|malformed|protocol/i],
  ['a length that is no number', '$12a\r\n', /length|number|invalid|malformed|protocol/i],
  [
    'a length past 64 bits',
    '*99999999999999999999999\r\n',
    /length|number|large|long|invalid|malformed|protocol/i,
  ],
  ['an unknown type', '@what\r\n', /type|unknown|unexpected|invalid|malformed|protocol/i],
  [
    'another protocol',
    'HTTP/1.1 400 Bad Request\r\n\r\n',
    /type|unknown|unexpected|invalid|malformed|protocol/i,
  ],
  ['a string without its end', '$2\r\nabcdef', /invalid|malformed|unexpected|end|protocol|line/i],
]

describe('a server answers a read with what is no reply', () => {
  test.each(NONSENSE)('%s', async (_what, reply, why) => {
    fake.answer('GET', () => reply)
    fake.answer('MGET', () => reply)
    await Promise.all([
      expectRefused(why),
      expectRefused(why),
      expectRefused(why, 'getSessions', [['s', 't']]),
    ])
    await expectUnharmed()
  })

  test('with the default deadline, too', async () => {
    await probe.end()
    await probeWith({})
    fake.answer('GET', () => '*1\r\n'.repeat(DEEP))
    const { name, ms } = await probe.call('getSession', 's')
    expect(name).toBe('RedisUnavailableError')
    expect(ms).toBeLessThan(5000 + LATE)
    await expectUnharmed()
  })

  test('a write whose reply is none has an unknown outcome', async () => {
    for (const command of ['EVAL', 'EVALSHA']) fake.answer(command, () => '*1\r\n'.repeat(DEEP))
    const state = makeState({ session_id: 's' })
    const { name, ms } = await probe.call('updateSession', 's', state)
    expect(name).toBe('OutcomeUnknownError')
    expect(ms).toBeLessThan(TIMEOUT + LATE)
    await expectUnharmed()
  })

  test('once: another connection is made, and the read is answered there', async () => {
    let nonsense = 0
    fake.answer('GET', () => (nonsense++ === 0 ? '$-5\r\n' : documentOf('s')))
    const { name, value } = await probe.call('getSession', 's')
    expect(name).toBe('done')
    expect(value?.session_id).toBe('s')
    await expectUnharmed()
  })
})

describe('a server answers with half a reply', () => {
  const HALF = documentOf('s').subarray(0, 200)

  test('and falls silent', async () => {
    fake.answer('GET', () => HALF)
    await expectRefused(/answer|lost|silent/i)
    await expectUnharmed()
  })

  test('and drips the rest for ever', async () => {
    fake.answer('GET', (connection) => {
      connection.write('$1000000\r\n')
      connection.drip(Buffer.alloc(1_000_000, 'x'), { bytes: 1, everyMs: 100 })
    })
    await expectRefused(/answer|time/i)
    await expectUnharmed()
  })

  test('and announces a long one that it sends at full speed', async () => {
    fake.answer('GET', (connection) => {
      connection.write('$100000000000\r\n')
      connection.flood('x')
    })
    await expectRefused(/long|large|length|bytes|size|answer/i)
    await expectUnharmed()
  })

  test('a line without an end', async () => {
    fake.answer('GET', (connection) => {
      connection.write('+')
      connection.flood('x')
    })
    await expectRefused(/long|large|length|bytes|size|line|end/i)
    await expectUnharmed()
  })

  test('and ends the stream', async () => {
    fake.answer('GET', (connection) => {
      connection.write(HALF)
      connection.end()
    })
    await expectRefused(/connection.*(lost|closed|ended)|(lost|closed|ended).*connection/i)
    await expectUnharmed()
  })
})

describe('a server says what nobody asked for', () => {
  test('a reply is never given to another call', async () => {
    fake.answer('GET', (_connection, [, key]) =>
      Buffer.concat([documentOf(String(key).slice('session:'.length)), documentOf('unasked')]),
    )
    for (const id of ['a', 'b', 'c', 'd', 'e']) {
      const { name, value, ms } = await probe.call('getSession', id)
      expect(ms).toBeLessThan(TIMEOUT + LATE)
      if (name === 'done') expect(value?.session_id).toBe(id)
      else expect(name).toBe('RedisUnavailableError')
    }
    await expectUnharmed()
  })

  test('a reply while nothing is owed ends the connection, and the next one works', async () => {
    fake.answer('GET', () => documentOf('s'))
    const before = [...fake.connections]
    for (const connection of before) connection.write(documentOf('unasked'))
    await until(() => before.every(({ socket }) => socket.destroyed), 3000)
    const { name, value } = await probe.call('getSession', 's')
    expect(name).toBe('done')
    expect(value?.session_id).toBe('s')
    await expectUnharmed()
  })

  // What a near cache is told, which this manager has none of; and what nobody knows.
  const PUSHES = {
    invalidations: '>2\r\n$10\r\ninvalidate\r\n*1\r\n$9\r\nsession:s\r\n',
    messages: '>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n',
    'pushes of no known kind': '>2\r\n$4\r\nwhat\r\n$5\r\nhello\r\n',
    attributes: '|1\r\n+k\r\n+v\r\n',
  }

  test.each(Object.keys(PUSHES))('%s without end, and no reply', async (kind) => {
    fake.answer('GET', (connection) => {
      connection.flood(PUSHES[kind])
    })
    // All that comes are bytes, so whether the server is taken for dead is open.
    await expectRefused(/./)
    await expectUnharmed()
  })

  test.each(Object.keys(PUSHES).slice(0, 3))(
    '%s without end, and a reply among them',
    async (kind) => {
      await probe.end()
      await probeWith({}) // The reply is behind some megabytes of pushes.
      for (const connection of fake.connections) connection.flood(PUSHES[kind])
      fake.answer('GET', () => documentOf('s'))
      const { name, ms } = await probe.call('getSession', 's')
      expect(name).toBe('done')
      expect(ms).toBeLessThan(5000 + LATE)
      await expectUnharmed()
    },
  )

  test('and reads nothing, so that what is sent to it piles up', async () => {
    for (const { socket } of fake.connections) socket.pause()
    const state = makeState({ session_id: 's', filler: 'x'.repeat(900_000) })
    fake.answer('HELLO', ({ socket }) => {
      socket.pause()
    })
    const writes = Array.from({ length: 20 }, () => probe.call('updateSession', 's', state))
    for (const { name, ms } of await Promise.all(writes)) {
      expect(['RedisUnavailableError', 'OutcomeUnknownError']).toContain(name)
      expect(ms).toBeLessThan(TIMEOUT + LATE)
    }
    await expectUnharmed()
  })
})

describe('a server greets with nonsense', () => {
  test.each([
    ['deep nesting', '*1\r\n'.repeat(DEEP)],
    ['another protocol', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
    ['nothing', undefined],
  ])('%s', async (_what, reply) => {
    fake.answer('HELLO', () => reply)
    for (const { socket } of fake.connections) socket.destroy()
    await expectRefused(/./)
    await expectUnharmed()
  })
})
