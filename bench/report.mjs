import { table } from '../demo/table.mjs'

/** The document of a run, as text for people. */
export function report({ setting, roundTrips, results, ratios }) {
  return [
    `Node ${setting.node}, Redis ${setting.redis}, ${setting.cpus} CPUs (${setting.cpuModel}), ${setting.platform}`,
    '',
    `A document of ${setting.documentBytes} bytes; ${setting.rounds} rounds of ${setting.ms} ms for each, never two at once. Median of the rounds`,
    '[smallest-largest]. CPU: of this process with all its threads. Loop: how busy the event loop was.',
    'Absolute figures drift with the machine; ratios within a run hold.',
    '',
    'What one operation sends to Redis, as MONITOR sees it',
    ...roundTrips.map(commandsOf),
    ...groupsOf(results).flatMap((group) => ['', figuresOf(group)]),
    '',
    'Operations per second as a multiple of the baseline, compared round by round',
    ratiosOf(ratios).join('\n\n'),
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
  const [{ operation, inFlight }] = group
  const rows = group.map((result) => [
    result.name,
    spread(result.p50),
    spread(result.p99),
    spread(result.opsPerSecond, thousands),
    result.cpuPerOp.median.toFixed(1),
    `${Math.round(100 * result.loopUtilization.median)} %`,
  ])
  const head = [
    `${operation}, ${inFlight} in flight`,
    'p50 µs',
    'p99 µs',
    'ops/s',
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
      .map(({ name, inFlight, ratio, goal, met }) => [
        name,
        inFlight,
        spread(ratio, (value) => value.toFixed(2)),
        goal === undefined ? '' : `>= ${goal.toFixed(1)}: ${met ? 'met' : 'MISSED'}`,
      ])
    return table([`1 = ${baseline}`, 'in flight', 'ratio', 'goal'], rows)
  })
}

const thousands = (value) => `${(value / 1000).toFixed(1)}k`

const spread = ({ median, min, max }, write = (value) => value.toFixed(0)) =>
  `${write(median)} [${write(min)}-${write(max)}]`
