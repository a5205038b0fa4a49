'use strict'

const { AsyncLocalStorage } = require('node:async_hooks')
const { subscribe, tracingChannel, unsubscribe } = require('node:diagnostics_channel')
const { inspect } = require('node:util')
const { context, SpanKind, SpanStatusCode } = require('@opentelemetry/api')
const { AsyncLocalStorageContextManager } = require('@opentelemetry/context-async-hooks')
const {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} = require('@opentelemetry/sdk-trace-base')
const { createRedisClient } = require('..')
const { Audit } = require('./harness/audit.js')
const { outcomeOf } = require('./harness/outage.js')
const { makeState } = require('./harness/sessions.js')
const { until } = require('./harness/until.js')

const audit = Audit.use({ postgres: false })
const operation = tracingChannel('synckairos-state:operation')
const connect = tracingChannel('synckairos-state:connect')

const ends = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
})

/** What a tracing channel tells until the test ends: for each event its name and its context. */
function hear(traced, about = () => true) {
  const events = []
  const handlers = Object.fromEntries(
    ['start', 'end', 'asyncStart', 'asyncEnd', 'error'].map((name) => [
      name,
      (message) => void (about(message) && events.push([name, message])),
    ]),
  )
  traced.subscribe(handlers)
  ends.push(() => traced.unsubscribe(handlers))
  return events
}

/** What a channel tells until the test ends. */
function messages(name) {
  const heard = []
  const note = (message) => heard.push(message)
  subscribe(name, note)
  ends.push(() => unsubscribe(name, note))
  return heard
}

const open = (options) => audit.manage(undefined, options)
const namesOf = (events) => events.map(([name]) => name)
const server = () => ({
  'db.system.name': 'redis',
  'db.namespace': '0',
  'server.address': '127.0.0.1',
  'server.port': audit.server.port,
})

describe('an operation', () => {
  test('begins and ends with one context, which names it and the server', async () => {
    const manager = open()
    const events = hear(operation)
    await manager.touchSession('any')
    expect(namesOf(events)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd'])
    const contexts = events.map(([, about]) => about)
    expect(new Set(contexts).size).toBe(1)
    const attributes = { ...server(), 'db.operation.name': 'touchSession' }
    expect(contexts[0]).toEqual({ operation: 'touchSession', attributes })
  })

  test('that fails tells its error before it ends', async () => {
    const manager = open()
    const events = hear(operation)
    const error = await manager.updateSession('a', makeState(), 1).catch((error) => error)
    expect(namesOf(events)).toEqual(['start', 'end', 'error', 'asyncStart', 'asyncEnd'])
    expect(events[2][1].error).toBe(error)
  })

  test.each([
    ['getSessions', (manager) => manager.getSessions(['a', 'b', 'c']), 3],
    ['getSessions', (manager) => manager.getSessions(['a']), undefined],
    ['getSession', (manager) => manager.getSession('a'), undefined],
  ])('%s tells how many sessions it is about', async (name, call, size) => {
    const manager = open()
    const events = hear(operation)
    await call(manager)
    const [[, { operation: named, attributes }]] = events
    expect([named, attributes['db.operation.batch.size']]).toEqual([name, size])
  })

  test('holds nothing of a session', async () => {
    const manager = open()
    const events = hear(operation)
    const state = makeState({ session_id: 'secret-id', group_id: 'secret-content' })
    await manager.createSession(state)
    await manager.getSession('secret-id')
    await manager.getSessions(['secret-id', 'other'])
    await manager.modifySession('secret-id', (current) => current)
    await manager.broadcastToSession('secret-id', 'secret-content')
    await manager.deleteSession('secret-id')
    expect(inspect(events, { depth: null, showHidden: true })).not.toContain('secret')
    await audit.redis.set('session:a', 'secret-content')
    const error = await manager.getSession('a').catch((error) => error)
    expect(error.rawData).toBe('secret-content')
    const [, about] = events.at(-1)
    expect(about.error).toMatchObject({ code: error.code, sessionId: 'a', stack: error.stack })
    expect(inspect(events, { depth: null, showHidden: true })).not.toContain('secret')
  })

  test('goes on in the context of its caller, with what a subscriber stores for it', async () => {
    const [caller, span] = [new AsyncLocalStorage(), new AsyncLocalStorage()]
    operation.start.bindStore(span, ({ operation: name }) => name)
    ends.push(() => operation.start.unbindStore(span))
    const seen = []
    const note = (where) => void seen.push([where, caller.getStore(), span.getStore()])
    for (const name of ['start', 'asyncEnd']) {
      const onEvent = () => note(name)
      operation[name].subscribe(onEvent)
      ends.push(() => operation[name].unsubscribe(onEvent))
    }
    const manager = open()
    await caller.run('a request', async () => {
      const state = makeState()
      await manager.createSession(state)
      seen.length = 0
      await manager.modifySession(state.session_id, () => note('callback'))
      note('after')
    })
    expect(seen).toEqual([
      ['start', 'a request', 'modifySession'],
      ['callback', 'a request', 'modifySession'],
      ['asyncEnd', 'a request', 'modifySession'],
      ['after', 'a request', undefined],
    ])
  })

  test('has a promise of the realm of its caller, and its rejection is heard of as before', async () => {
    const manager = open()
    hear(operation)
    expect(manager.getSession('any')).toBeInstanceOf(Promise)
    await expect(manager.getSession('')).rejects.toThrow('session_id')
  })

  test('of a queue is one, too', async () => {
    const queue = audit.queue({ worker: false, databaseUrl: 'sqlite::memory:' })
    const events = hear(operation)
    await queue.queueWrite('a', makeState({ session_id: 'a' }), 'custom')
    await outcomeOf(queue.removeFailed('no list'))
    expect(events.map(([name, about]) => `${about.operation} ${name}`)).toEqual([
      ...['start', 'end', 'asyncStart', 'asyncEnd'].map((name) => `queueWrite ${name}`),
      ...['start', 'end', 'error', 'asyncStart', 'asyncEnd'].map((name) => `removeFailed ${name}`),
    ])
  })

  test('on memory: has no address', async () => {
    const manager = audit.manage(undefined, { url: 'memory:' })
    const events = hear(operation)
    await manager.getSession('any')
    const attributes = { 'db.system.name': 'memory', 'db.operation.name': 'getSession' }
    expect(events[0][1].attributes).toEqual(attributes)
  })
})

describe('a connection', () => {
  test('is traced from the attempt until it is ready, and told', async () => {
    const events = hear(connect)
    const told = messages('synckairos-state:connection')
    const client = createRedisClient(audit.server.url)
    audit.keep({ close: () => client.quit() })
    await client.ping()
    const about = { connection: 'sessions', attributes: server() }
    expect(namesOf(events)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd'])
    expect(events[0][1]).toEqual(about)
    expect(told).toEqual([{ ...about, state: 'ready', reason: null }])
    await client.set('a', 1)
    expect(told.slice(1)).toMatchObject([{ connection: 'commands', state: 'ready' }])
  })

  test('that is lost is told, and each attempt that fails', async () => {
    const proxy = await audit.redisProxy()
    const manager = audit.manage(undefined, { url: proxy.url, logger: audit.logger })
    await manager.getSession('any')
    const events = hear(connect, ({ attributes }) => attributes['server.port'] === proxy.port)
    const told = messages('synckairos-state:connection')
    proxy.mode = 'refuse'
    proxy.reset()
    const read = manager.getSession('any')
    await until(() => namesOf(events).filter((name) => name === 'error').length >= 2)
    proxy.mode = 'pass'
    await read
    expect(told[0]).toMatchObject({ connection: 'sessions', state: 'lost' })
    expect(told.at(-1)).toMatchObject({ state: 'ready', reason: null })
    const failed = ['start', 'end', 'error', 'asyncStart', 'asyncEnd']
    expect(namesOf(events).slice(0, 10)).toEqual([...failed, ...failed])
    expect(namesOf(events).slice(-4)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd'])
    expect(events[2][1].error).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    expect(events.at(-1)[1].error).toBeUndefined()
  })

  test('that is not needed any more ends its attempt', async () => {
    const proxy = await audit.redisProxy()
    proxy.mode = 'refuse'
    const client = createRedisClient(proxy.url, { commandTimeoutMs: 300 })
    const events = hear(connect)
    await outcomeOf(client.ping())
    await client.quit()
    expect(namesOf(events).at(-1)).toBe('asyncEnd')
    expect(events.at(-1)[1].error).toMatchObject({ code: 'CLOSED' })
    expect(namesOf(events).filter((name) => name === 'start').length).toBe(
      namesOf(events).filter((name) => name === 'asyncEnd').length,
    )
  })
})

test('a gap in a subscription is told', async () => {
  const proxy = await audit.redisProxy()
  const told = messages('synckairos-state:gap')
  const subscriber = audit.manage(undefined, { url: proxy.url, logger: audit.logger })
  const writer = open()
  const state = makeState()
  const heard = []
  subscriber.subscribeToUpdates((id) => heard.push(id))
  await subscriber.subscribed()
  await writer.createSession(state)
  await until(() => heard.length === 1)
  proxy.mode = 'refuse'
  proxy.reset()
  await writer.updateSession(state.session_id, state)
  proxy.mode = 'pass'
  await until(() => told.length > 0)
  const attributes = { ...server(), 'server.port': proxy.port }
  const lastedMs = expect.any(Number)
  expect(told).toEqual([{ attributes, lastedMs, known: 1, reread: 1, changed: 1 }])
})

test('a dead letter is told, without its session', async () => {
  const told = messages('synckairos-state:dead-letter')
  const queue = audit.queue({ databaseUrl: 'sqlite::memory:', migrate: true })
  await queue.queueWrite('secret', makeState({ session_id: 'secret' }), 'x'.repeat(51))
  await until(() => told.length > 0)
  const [{ id }] = await queue.getFailed()
  const { queueName } = audit
  const sqlstate = expect.stringMatching(/^SQLITE_/)
  expect(told).toEqual([{ queueName, id, eventType: 'x'.repeat(51), attempt: 1, sqlstate }])
})

describe("OpenTelemetry's SDK", () => {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const tracer = provider.getTracer('test')
  beforeAll(() => context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()))
  afterAll(() => context.disable())
  afterEach(() => exporter.reset())

  /** Makes a span of each operation, a child of the span that is active where it is called. */
  function instrument() {
    const spans = new WeakMap()
    const handlers = {
      start(about) {
        const { operation: name, attributes } = about
        spans.set(about, tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }))
      },
      error(about) {
        const { code, message } = about.error
        spans.get(about)?.setAttribute('error.type', code)
        spans.get(about)?.setStatus({ code: SpanStatusCode.ERROR, message })
      },
      asyncEnd: (about) => spans.get(about)?.end(),
    }
    operation.subscribe(handlers)
    return () => operation.unsubscribe(handlers)
  }

  test('makes spans with parents, and marks errors', async () => {
    const manager = open()
    ends.push(instrument())
    const requests = ['first', 'second'].map((name) =>
      tracer.startActiveSpan(name, async (span) => {
        await manager.getSession('any')
        await outcomeOf(manager.updateSession('a', makeState(), 1))
        span.end()
        return span.spanContext()
      }),
    )
    const [first, second] = await Promise.all(requests)
    const spans = exporter.getFinishedSpans()
    for (const { traceId, spanId } of [first, second]) {
      const children = spans.filter((span) => span.parentSpanContext?.spanId === spanId)
      expect(children.map(({ name, status }) => [name, status.code])).toEqual([
        ['getSession', SpanStatusCode.UNSET],
        ['updateSession', SpanStatusCode.ERROR],
      ])
      expect(children.every((span) => span.spanContext().traceId === traceId)).toBe(true)
      expect(children[1].attributes).toMatchObject({ ...server(), 'error.type': 'INVALID_STATE' })
    }
    expect(spans).toHaveLength(6)
  })

  test('makes none where nobody subscribes', async () => {
    const manager = open()
    instrument()()
    expect(operation.start.hasSubscribers).toBe(false)
    await tracer.startActiveSpan('request', async (span) => {
      await manager.getSession('any')
      span.end()
    })
    expect(exporter.getFinishedSpans().map(({ name }) => name)).toEqual(['request'])
  })
})
