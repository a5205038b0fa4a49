import { table } from '../demo/table.mjs'

/** The document of a run, as text for people. */
export function report({ setting, roundTrips, results, ratios, drain, memory }) {
  return [
    `Node ${setting.node}, Redis ${setting.redis}, PostgreSQL ${setting.postgres}, ${setting.cpus} CPUs (${setting.cpuModel}), ${setting.platform}`,
    '',
    `A document of ${setting.documentBytes} bytes; ${setting.rounds} rounds of ${setting.ms} ms for each, never two at once. Median of the rounds`,
    '[smallest-largest]. CPU: of this process with all its threads. Loop: how busy the event loop was.',
    'Settled/s: counted until the last audit record is in PostgreSQL; ops/s: until the last call has returned.',
    'Absolute figures drift with the machine; ratios within a run hold.',
    '',
    'What one operation sends to Redis, as MONITOR sees it',
    ...roundTrips.map(commandsOf),
    ...groupsOf(results).flatMap((group) => ['', figuresOf(group)]),
    '',
    'As multiples of the baseline, compared round by round',
    ratiosOf(ratios).join('\n\n'),
    '',
    'Records that wait in Redis, into PostgreSQL (which does not flush to disk here: that would slow the reference more)',
    drainOf(drain),
    '',
    memoryOf(memory),
  ].join('\n')
}

function commandsOf({ name, sent, inside }) {
  const count = sent.length === 1 ? '1 command ' : `${sent.length} commands`
  const script = inside.length > 0 ? ` (its script calls ${inside.join(', ')})` : ''
  return `  ${name.padEnd(40)}   ${count}: ${sent.join(', ')}${script}`
}

/** Results of the same operation and as many in flight, which stand next to each other. */
function groupsOf(results) {
  const groups = []
  for (const result of results) {
    const group = groups.at(-1)
    const { operation, inFlight } = group?.[0] ?? {}
    if (operation === result.operation && inFlight === result.inFlight) group.push(result)
    else groups.push([result])
  }
  return groups
}

function figuresOf(group) {
  const [{ operation, inFlight, settledPerSecond }] = group
  const settles = settledPerSecond !== undefined
  const rows = group.map((result) => [
    result.name,
    spread(result.p50),
    spread(result.p99),
    spread(result.opsPerSecond, thousands),
    ...(settles ? [spread(result.settledPerSecond, thousands)] : []),
    result.cpuPerOp.median.toFixed(1),
    `${Math.round(100 * result.loopUtilization.median)} %`,
  ])
  const head = [
    `${operation}, ${inFlight} in flight`,
    'p50 µs',
    'p99 µs',
    'ops/s',
    ...(settles ? ['settled/s'] : []),
    'CPU µs',
    'loop',
  ]
  return table(head, rows)
}

function ratiosOf(ratios) {
  const baselines = [...new Set(ratios.map(({ baseline }) => baseline))]
  return baselines.map((baseline) => {
    const rows = ratios
      .filter((ratio) => ratio.baseline === baseline)
      .map(({ name, inFlight, ratio, verdicts }) => [
        name,
        inFlight,
        ...Object.values(ratio).map((values) => spread(values, factor)),
        verdicts.map(({ goal, met }) => `${wordsOf(goal)}: ${verdict(met)}`).join(', '),
      ])
    const { ratio } = ratios.find((one) => one.baseline === baseline)
    const figures = Object.keys(ratio).map((figure) => FIGURES[figure])
    return table([`1 = ${baseline}`, 'in flight', ...figures, 'goal'], rows)
  })
}

const FIGURES = { opsPerSecond: 'ops/s', settledPerSecond: 'settled/s', p50: 'p50' }

function wordsOf({ figure, atLeast, atMost }) {
  return `${FIGURES[figure]} ${atLeast === undefined ? `<= ${atMost}` : `>= ${atLeast}`}`
}

function drainOf({ results, ratio, goal, met }) {
  const rows = results.map(({ name, records, recordsPerSecond }) => [
    name,
    records,
    spread(recordsPerSecond, thousands),
  ])
  const summary = `${spread(ratio, factor)} times the reference; goal >= ${goal}: ${verdict(met)}`
  return `${table(['drain', 'records', 'records/s'], rows)}\n  ${summary}`
}

function memoryOf({ records, before, after, goal, met }) {
  const growth = `${megabytes(before)} before, ${megabytes(after)} after`
  return `RSS of a process that enqueues ${records} records: ${growth}; goal <= +${megabytes(goal)}: ${verdict(met)}`
}

const verdict = (met) => (met ? 'met' : 'MISSED')

const factor = (value) => value.toFixed(2)

const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MB`

const thousands = (value) => `${(value / 1000).toFixed(1)}k`

const spread = ({ median, min, max }, write = (value) => value.toFixed(0)) =>
  `${write(median)} [${write(min)}-${write(max)}]`
