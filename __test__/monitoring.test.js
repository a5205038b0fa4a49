'use strict'

const { once } = require('node:events')
const fs = require('node:fs')
const path = require('node:path')
const { pathToFileURL } = require('node:url')
const { parser } = require('@prometheus-io/lezer-promql')
const {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} = require('@opentelemetry/sdk-metrics')
const { parse } = require('yaml')
const { RedisStateManager } = require('..')
const errors = require('../lib/realm/errors.js')
const { CallMeter } = require('../lib/telemetry/CallMeter.js')
const dashboard = require('../examples/monitoring/dashboard.cjs')
const {
  BOUNDS,
  METRICS,
  prometheusLabel,
  prometheusName,
} = require('../examples/monitoring/metrics.cjs')
const { metricProducer } = require('../examples/monitoring/opentelemetry.cjs')
const { prometheusRegistry } = require('../examples/monitoring/prometheus.cjs')
const { Audit } = require('./harness/audit.js')
const { runScript, startScript } = require('./harness/child.js')
const { blocksOf, tableUnder } = require('./harness/documentation.js')
const { makeState } = require('./harness/sessions.js')
const { SqliteFile } = require('./harness/sqlite.js')
const { until } = require('./harness/until.js')

const root = path.join(__dirname, '..')
const examples = path.join(root, 'examples', 'monitoring')
const PAGE = 'docs/monitoring.md'

const audit = Audit.use({ postgres: false })
let file
beforeEach(() => {
  file = audit.keep(new SqliteFile())
  audit.databaseUrl = file.url
})

/** A manager whose changes a queue with a worker stores in this test's file. */
async function service() {
  const queue = audit.queue()
  await queue.migrate()
  return { manager: audit.manage(queue), queue }
}

/** What a scrape gives: the value of each series, by its text, and the type of each metric. */
async function scraped(registry) {
  const lines = (await registry.metrics()).split('\n').filter((line) => line !== '')
  const series = lines
    .filter((line) => !line.startsWith('#'))
    .map((line) => line.split(/ (?=\S+$)/))
  const types = lines.filter((line) => line.startsWith('# TYPE ')).map((line) => line.split(' '))
  return {
    values: Object.fromEntries(series.map(([name, value]) => [name, Number(value)])),
    types: Object.fromEntries(types.map(([, , name, type]) => [name, type])),
  }
}

/** What a reader of OpenTelemetry exports: the metrics of the module, by name. */
async function exported(sources) {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis: 3_600_000,
    metricProducers: [metricProducer(sources)],
  })
  const provider = new MeterProvider({ readers: [reader] })
  await provider.forceFlush()
  const [{ scopeMetrics }] = exporter.getMetrics()
  await provider.shutdown()
  const { metrics } = scopeMetrics.find(({ scope }) => scope.name === 'synckairos-state')
  return Object.fromEntries(metrics.map((metric) => [metric.descriptor.name, metric]))
}

/** Two calls that succeed, one conflict, a stored record each and a dead letter. */
async function busy({ manager, queue }) {
  const state = makeState()
  await manager.createSession(state)
  await manager.updateSession(state.session_id, state, 1)
  await expect(manager.updateSession(state.session_id, state, 1)).rejects.toThrow()
  await queue.drained()
  await queue.queueWrite('s', makeState(), 'e'.repeat(51)) // Too long for its column.
  await until(async () => (await queue.metrics()).dead === 1)
}

describe('a scrape of prom-client', () => {
  test('has all metrics of the list, with the values of metrics() and health()', async () => {
    const sources = await service()
    const registry = prometheusRegistry(sources)
    await busy(sources)
    const { values, types } = await scraped(registry)
    expect(types).toEqual(
      Object.fromEntries(METRICS.map((metric) => [prometheusName(metric), metric.type])),
    )
    const { lastStoredAt, stored } = await sources.queue.metrics()
    expect(stored).toBe(2)
    expect(values).toMatchObject({
      'synckairos_calls_total{db_operation_name="createSession",outcome="ok"}': 1,
      'synckairos_calls_total{db_operation_name="updateSession",outcome="ok"}': 1,
      'synckairos_calls_total{db_operation_name="updateSession",outcome="CONCURRENT_MODIFICATION"}': 1,
      'synckairos_calls_total{db_operation_name="queueWrite",outcome="ok"}': 1,
      synckairos_manager_ready: 1,
      synckairos_manager_conflicts_total: 1,
      synckairos_manager_callbacks_behind_size_bytes: 0,
      'synckairos_manager_cache_reads_total{result="hit"}': 0,
      synckairos_queue_ready: 1,
      'synckairos_queue_records{state="waiting"}': 0,
      'synckairos_queue_records{state="dead"}': 1,
      synckairos_queue_stored_total: 2,
      synckairos_queue_oldest_age_seconds: 0,
      synckairos_queue_last_stored_timestamp_seconds: lastStoredAt.getTime() / 1000,
      'synckairos_queue_workers{state="alive"}': 1,
      'synckairos_queue_workers{state="silent"}': 0,
    })
    // Of this process: other tests have made some, too.
    const kind = 'db_response_status_code="SQLITE_CONSTRAINT"'
    expect(values[`synckairos_queue_dead_letters_total{${kind}}`]).toBeGreaterThanOrEqual(1)
  })

  test('has the buckets of durations, cumulative, as Prometheus wants them', async () => {
    const sources = await service()
    await busy(sources)
    const { values } = await scraped(prometheusRegistry(sources))
    const { buckets, sum, count } = sources.manager.metrics().durations.updateSession
    const labels = 'db_system_name="redis",db_operation_name="updateSession"'
    const name = 'db_client_operation_duration_seconds'
    const upTo = [...BOUNDS, '+Inf'].map((le) => values[`${name}_bucket{${labels},le="${le}"}`])
    expect(upTo).toEqual(buckets.map((_, at) => buckets.slice(0, at + 1).reduce((a, b) => a + b)))
    expect(values[`${name}_sum{${labels}}`]).toBeCloseTo(sum, 9)
    expect([upTo.at(-1), values[`${name}_count{${labels}}`], count]).toEqual([2, 2, 2])
  })

  test('reads once, and names no session, however many there are', async () => {
    const sources = await service()
    const registry = prometheusRegistry(sources)
    const before = Object.keys((await scraped(registry)).values)
    const ids = Array.from({ length: 20 }, () => crypto.randomUUID())
    await Promise.all(
      ids.map((session_id) => sources.manager.createSession(makeState({ session_id }))),
    )
    await sources.queue.drained()
    const surveys = jest.spyOn(sources.queue, 'metrics')
    const text = await registry.metrics()
    expect(surveys).toHaveBeenCalledTimes(1)
    expect(ids.filter((id) => text.includes(id))).toEqual([])
    const after = Object.keys((await scraped(registry)).values)
    expect(after.filter((name) => !before.includes(name) && !name.includes('timestamp'))).toEqual(
      [],
    )
  })

  test('tells that nothing is ready while Redis stands still, and has the manager’s counts', async () => {
    const queue = audit.queue({ worker: false, commandTimeoutMs: 1500 })
    const sources = { queue, manager: audit.manage(queue) }
    await sources.manager.getSession('a')
    audit.server.pause()
    try {
      const { values } = await scraped(prometheusRegistry(sources))
      expect(values).toMatchObject({
        synckairos_manager_ready: 0,
        synckairos_queue_ready: 0,
        'synckairos_calls_total{db_operation_name="getSession",outcome="ok"}': 1,
      })
      expect(Object.keys(values).filter((name) => name.includes('queue_records'))).toEqual([])
    } finally {
      audit.server.resume()
    }
  })

  test('of a manager alone has nothing of a queue', async () => {
    const manager = audit.keep(new RedisStateManager(audit.server.url))
    const { values } = await scraped(prometheusRegistry({ manager }))
    expect(values.synckairos_manager_ready).toBe(1)
    const ofQueue = Object.keys(values).filter((name) => name.startsWith('synckairos_queue'))
    expect(ofQueue.filter((name) => !name.includes('dead_letters'))).toEqual([])
  })
})

test('a reader of OpenTelemetry exports all metrics of the list, with the same values', async () => {
  const sources = await service()
  await busy(sources)
  const metrics = await exported(sources)
  expect(Object.keys(metrics)).toEqual(METRICS.map(({ name }) => name))
  const { buckets, sum, count } = sources.manager.metrics().durations.updateSession
  const { descriptor, dataPointType, dataPoints } = metrics['db.client.operation.duration']
  expect([descriptor.unit, dataPointType]).toEqual(['s', DataPointType.HISTOGRAM])
  const duration = dataPoints.find(
    (point) => point.attributes['db.operation.name'] === 'updateSession',
  )
  expect(duration.value).toEqual({ buckets: { boundaries: BOUNDS, counts: buckets }, sum, count })
  expect(metrics['synckairos.queue.stored']).toMatchObject({
    dataPointType: DataPointType.SUM,
    isMonotonic: true,
    dataPoints: [{ attributes: {}, value: 2 }],
  })
  expect(metrics['synckairos.manager.ready']).toMatchObject({
    dataPointType: DataPointType.GAUGE,
    dataPoints: [{ attributes: {}, value: 1 }],
  })
  const [{ startTime, endTime }] = dataPoints
  expect(endTime[0] * 1e3 + endTime[1] / 1e6).toBeGreaterThanOrEqual(
    startTime[0] * 1e3 + startTime[1] / 1e6,
  )
})

describe('the list', () => {
  test('has everything that metrics() tells', async () => {
    const { manager, queue } = await service()
    const read = new Set()
    const watched = (metrics) =>
      new Proxy(metrics, {
        get(target, name) {
          read.add(name)
          return target[name]
        },
      })
    const metrics = [manager.metrics(), await queue.metrics()]
    const reading = {
      manager: watched(metrics[0]),
      queue: watched(metrics[1]),
      deadLetters: new Map(),
    }
    for (const { points } of METRICS) points(reading)
    expect(metrics.flatMap(Object.keys).filter((name) => !read.has(name))).toEqual([])
  })

  test('has the bounds with which calls are counted', () => {
    for (const [index, bound] of BOUNDS.entries()) {
      const meter = new CallMeter(['method'])
      meter.ok(0, 0, undefined, bound * 1000)
      meter.ok(0, 0, undefined, bound * 1001)
      const { buckets } = meter.read().durations.method
      expect([buckets.length, buckets[index], buckets[index + 1]]).toEqual([
        BOUNDS.length + 1,
        1,
        1,
      ])
    }
  })

  test('is that of the page', () => {
    const rows = tableUnder(PAGE, '## The metrics')
    const units = { s: 's', By: 'bytes', '': '' }
    expect(rows).toEqual(
      METRICS.map(({ name, type, unit, labels, help, across }) => [
        `\`${name}\``,
        type,
        units[unit],
        labels.map((label) => `\`${label}\``).join(', '),
        help,
        across,
      ]),
    )
  })
})

/** What a query names: `{ metric, labels: { label, operator, value }[] }`; fails if it is no PromQL. */
function selectorsOf(expr) {
  const selectors = []
  const textOf = ({ from, to }) => expr.slice(from, to)
  parser.parse(expr).iterate({
    enter({ node, type }) {
      if (type.isError) throw new Error(`no PromQL: ${expr}`)
      if (type.name === 'VectorSelector') {
        selectors.push({ metric: textOf(node.getChild('Identifier')), labels: [] })
      } else if (type.name === 'UnquotedLabelMatcher') {
        const value = JSON.parse(textOf(node.getChild('StringLiteral')))
        selectors.at(-1).labels.push({ label: textOf(node.getChild('LabelName')), value })
      }
    },
  })
  return selectors
}

/** The labels of each series, by its name in Prometheus. */
const series = Object.fromEntries(
  METRICS.flatMap((metric) => {
    const [name, labels] = [prometheusName(metric), metric.labels.map(prometheusLabel)]
    if (metric.type !== 'histogram') return [[name, labels]]
    return [
      [`${name}_bucket`, [...labels, 'le']],
      [`${name}_sum`, labels],
      [`${name}_count`, labels],
    ]
  }),
)

const { groups } = parse(fs.readFileSync(path.join(examples, 'alerts.yml'), 'utf8'))
const rules = groups.flatMap(({ rules: some }) => some)

describe('the alerts', () => {
  test.each(rules.map((rule) => [rule.alert, rule]))(
    '%s asks for metrics and labels that there are, and gives its reason',
    (_name, { expr, labels, annotations }) => {
      const selectors = selectorsOf(expr)
      expect(selectors.length).toBeGreaterThan(0)
      for (const { metric, labels: matched } of selectors) {
        expect(Object.keys(series)).toContain(metric)
        for (const { label } of matched) expect(series[metric]).toContain(label)
      }
      expect(['warning', 'critical']).toContain(labels.severity)
      for (const text of [annotations.summary, annotations.reason, annotations.action]) {
        expect(text).toMatch(/^\S.*\.$/)
      }
      for (const [, label] of annotations.summary.matchAll(/\$labels\.(\w+)/g)) {
        if (label !== 'instance')
          expect(selectors.flatMap(({ metric }) => series[metric])).toContain(label)
      }
    },
  )

  test('match values that labels have', async () => {
    const { manager, queue } = await service()
    const methods = [manager.metrics(), await queue.metrics()].flatMap(({ calls }) =>
      Object.keys(calls),
    )
    const { StateError: _base, ...classes } = errors
    const known = {
      outcome: Object.values(classes).map((Class) => new Class('a', 1, 2).code),
      db_operation_name: methods,
      state: ['waiting', 'active', 'delayed', 'dead', 'alive', 'silent'],
    }
    for (const { label, value } of rules
      .flatMap(({ expr }) => selectorsOf(expr))
      .flatMap(({ labels }) => labels)) {
      for (const one of value.split('|')) {
        expect(known[label].filter((some) => new RegExp(`^(?:${one})$`).test(some))).not.toEqual([])
      }
    }
  })

  test('are those of the page, with their reasons', () => {
    expect(tableUnder(PAGE, '## The alerts')).toEqual(
      rules.map(({ alert, for: lasting = 'at once', labels, annotations }) => [
        `\`${alert}\``,
        lasting,
        labels.severity,
        annotations.reason,
      ]),
    )
  })
})

describe('the dashboard', () => {
  test('is the one that its script makes', () => {
    expect(fs.readFileSync(dashboard.FILE, 'utf8')).toBe(dashboard.text())
  })

  test('shows each metric, by queries that Prometheus understands', () => {
    const { panels } = JSON.parse(dashboard.text())
    const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
    const asked = queries
      .map((expr) => expr.replaceAll('$__rate_interval', '1m'))
      .flatMap(selectorsOf)
      .map(({ metric }) => metric.replace(/_bucket$/, ''))
    expect([...new Set(asked)]).toEqual(METRICS.map(prometheusName))
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
  })
})

describe('the programs of the page', () => {
  const programs = blocksOf(PAGE).filter(({ language }) => language === 'js')
  /** Within the package, whose name they import. */
  const directory = path.join(root, 'target', 'monitoring')

  beforeAll(() => fs.cpSync(examples, directory, { recursive: true }))
  afterAll(() => fs.rmSync(directory, { recursive: true }))

  /** Runs one as a service does. @param {string} named the file that it requires */
  function started(named, source) {
    const { text } = programs.find((program) => program.text.includes(`'./${named}'`))
    const program = path.join(directory, `program-${named}`)
    fs.writeFileSync(program, text)
    const env = { REDIS_URL: audit.server.url, DATABASE_URL: audit.databaseUrl, METRICS_PORT: '0' }
    const script = `${source}; require(${JSON.stringify(program)})`
    const run = startScript(script, { env, ipc: true })
    audit.keep({
      close() {
        run.child.kill('SIGKILL')
        return run.ended
      },
    })
    return run.child
  }

  beforeEach(() => audit.queue({ worker: false }).migrate())

  test('answers a scrape of Prometheus', async () => {
    const child = started(
      'prometheus.cjs',
      `const { prototype } = require('node:net').Server
      const { listen } = prototype
      prototype.listen = function (...args) {
        return listen.apply(this, args).once('listening', () => process.send(this.address().port))
      }`,
    )
    const [port] = await once(child, 'message')
    const response = await fetch(`http://127.0.0.1:${port}/metrics`)
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
    expect(await response.text()).toMatch(/^synckairos_manager_ready 1$/m)
  })

  test('exports to OpenTelemetry', async () => {
    const child = started(
      'opentelemetry.cjs',
      `const sdk = require('@opentelemetry/sdk-metrics')
      sdk.PeriodicExportingMetricReader.prototype.onInitialized = function () {
        this.collect().then(({ resourceMetrics }) => process.send(resourceMetrics.scopeMetrics))
      }`,
    )
    const [scopes] = await once(child, 'message')
    const names = scopes.flatMap(({ metrics }) => metrics.map(({ descriptor }) => descriptor.name))
    expect(names).toContain('synckairos.queue.oldest_age')
  })

  test.each([
    ['prometheus.cjs', 'prometheusRegistry'],
    ['opentelemetry.cjs', 'metricProducer'],
  ])('%s: an ES module imports its function by name', async (name, exported) => {
    const url = pathToFileURL(path.join(directory, name))
    const source = `import('${url}').then((it) => console.log(typeof it.${exported}))`
    expect(await runScript(source)).toMatchObject({ stdout: 'function\n', stderr: '' })
  })

  test('are all run here', () => {
    expect(programs.length).toBe(2)
  })
})
