import { table } from '../../demo/table.mjs'
import {
  figureWords,
  goalWords,
  headWords,
  modeWords,
  placeWords,
  ratioWords,
  spread,
  thousands,
  verdictWord,
} from './words.mjs'

const tenths = (value) => value.toFixed(1)
const hundredths = (value) => value.toFixed(2)

/** What a figure is called, and how it is written. */
const COLUMNS = {
  p50: ['p50 µs', spread],
  p99: ['p99 µs', spread],
  ops: ['per second', (summary) => spread(summary, thousands)],
  settled: ['stored per second', (summary) => spread(summary, thousands)],
  jsCpu: ['JS µs', (summary) => figureWords(summary, tenths)],
  cpu: ['CPU µs', (summary) => figureWords(summary, tenths)],
  redisCpu: ['Redis µs', (summary) => figureWords(summary, tenths)],
  peak: ['RSS at once, MB', spread],
  rss: ['RSS at rest, MB', spread],
  calm: ['longest get, calm, µs', spread],
  busy: ['longest get, µs', spread],
  held: ['held for, µs', spread],
  longest: ['longest, µs', spread],
  load: ['the busiest node, %', (summary) => spread(summary, hundredths)],
  own: ['MB but for sessions', (summary) => spread(summary, tenths)],
  ledgers: ['ledgers, MB', (summary) => spread(summary, hundredths)],
  connections: ['connections, MB', (summary) => spread(summary, tenths)],
  scripts: ['scripts, MB', (summary) => spread(summary, tenths)],
  listeners: ['listeners, MB', (summary) => spread(summary, tenths)],
  session: ['a session, bytes', spread],
}

/** An outcome, as text for people. */
export function report({ setting, goals, results, commands, soak }) {
  return [
    headWords(setting),
    modeWords(setting),
    '',
    `Median of ${setting.rounds} rounds [smallest-largest]; only smallest-largest where they differ by more than a factor of`,
    "two. JS, CPU: of the thread that runs JavaScript, and of all threads of the contender's process, for each call.",
    'Absolute figures drift with the machine; ratios within a round hold.',
    '',
    ...commandsWords(commands),
    ...groupsOf(results).flatMap((group) => ['', figuresOf(group)]),
    ...(soak ?? []).map(({ calls, rss }) => `RSS after ${calls} calls: ${megabytes(rss)}`),
    '',
    goalsOf(goals),
  ].join('\n')
}

function commandsWords(commands) {
  if (commands.length === 0) return []
  return ['What one operation sends to Redis, as MONITOR sees it', ...commands.map(commandsOf)]
}

function commandsOf({ operation, contender, sent, inside }) {
  const count = sent.length === 1 ? '1 command ' : `${sent.length} commands`
  const script = inside.length > 0 ? ` (scripts call ${inside.join(', ')})` : ''
  return `  ${`${operation}: ${contender}`.padEnd(34)} ${count}: ${sent.join(', ')}${script}`
}

/** Those of the same cell. */
function groupsOf(results) {
  const groups = Map.groupBy
    ? Map.groupBy(results, cellWords)
    : results.reduce((all, one) => {
        const key = cellWords(one)
        return all.set(key, [...(all.get(key) ?? []), one])
      }, new Map())
  return [...groups.values()]
}

function cellWords({ operation, inFlight, participants, ...place }) {
  const words = [operation]
  if (inFlight > 0) words.push(`${inFlight} in flight`)
  if (participants !== 2) words.push(`${participants} participants`)
  if (placeWords(place)) words.push(placeWords(place))
  return words.join(', ')
}

function figuresOf(group) {
  const shown = Object.keys(COLUMNS).filter((figure) =>
    group.some(({ figures }) => figures[figure] && isTold(figure, group[0])),
  )
  const head = [cellWords(group[0]), ...shown.map((figure) => COLUMNS[figure][0])]
  const rows = group.map(({ contender, figures }) => [
    contender,
    ...shown.map((figure) => figures[figure] && COLUMNS[figure][1](figures[figure])),
  ])
  return table(head, rows)
}

/** Only a worker stores something. */
const isTold = (figure, { operation }) => figure !== 'settled' || operation === 'update, carried'

function goalsOf(goals) {
  const rows = goals.map((goal) => [
    goal.what,
    goal.network ?? '',
    goal.mode ?? '',
    goal.to,
    goalWords(goal),
    goal.ratio ? ratioWords(goal.ratio) : '',
    verdictWord(goal),
  ])
  return table(['Goal', 'network', 'mode', 'as a multiple of', 'goal', 'measured', ''], rows)
}

const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MB`
