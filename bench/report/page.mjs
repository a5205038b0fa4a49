import fs from 'node:fs'
import { FLOORS, GLIDE, IOREDIS, OURS, OURS_MEMORY, OURS_ONE } from '../contenders/index.mjs'
import { PLOT, savedClusterResults, savedMemoryResults, savedResults } from './files.mjs'
import { tabled, tabledOfCluster, tabledOfMemory } from './highlights.mjs'
import { plot } from './plot.mjs'
import { figureWords, goalWords, headWords, modeWords, ratioWords, verdictWord } from './words.mjs'

const PAGE = new URL('../../docs/performance.md', import.meta.url)
/** The picture is not packed: where the package's repository has it. */
const PICTURE =
  'https://raw.githubusercontent.com/synckairos/synckairos-state/main/bench/results/latest.svg'
/** The parts of the page that are generated, by the names of their marks. */
const PARTS = {
  bench: () => figures(savedResults()),
  memory: () =>
    figuresWithGoals(savedMemoryResults(), tabledOfMemory, {
      [OURS_MEMORY]: 'memory:',
      [OURS]: 'Redis',
    }),
  cluster: () =>
    figuresWithGoals(savedClusterResults(), tabledOfCluster, {
      [OURS]: 'in the cluster',
      [OURS_ONE]: 'on one server',
      [IOREDIS]: 'ioredis Cluster',
      [GLIDE]: 'glide, cluster client',
    }),
}

/** Puts the figures of the saved results into docs/performance.md, and draws the plot of them. */
export function writePage() {
  fs.writeFileSync(PLOT, plot(savedResults()))
  fs.writeFileSync(PAGE, withFigures(fs.readFileSync(PAGE, 'utf8')))
}

/** What is not as the saved results have it: names of files. */
export function stale() {
  const files = [
    ['docs/performance.md', PAGE, withFigures],
    ['bench/results/latest.svg', PLOT, () => plot(savedResults())],
  ]
  return files.flatMap(([name, url, due]) => {
    const text = fs.readFileSync(url, 'utf8')
    return text === due(text) ? [] : [name]
  })
}

function withFigures(text) {
  return Object.entries(PARTS).reduce((page, [name, write]) => {
    const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
    const [before, rest] = page.split(begin)
    const after = rest?.split(end)[1]
    if (after === undefined) throw new Error(`docs/performance.md has no place ${begin} … ${end}`)
    return `${before}${begin}\n\n${write()}\n\n${end}${after}`
  }, text)
}

/** `columns`: the title of each contender. */
function figuresWithGoals({ setting, results, goals }, highlights, columns) {
  const rows = highlights({ setting, results }).map(({ title, mode, figure, values }) => {
    const cell = (name) => {
      const value = values.find(({ contender }) => contender === name)
      return value ? figureWords(value, figure.write) : ''
    }
    return [`${title}: ${figure.words}`, mode, ...Object.keys(columns).map(cell)]
  })
  const verdicts = goals.map((goal) => [
    goal.what,
    goal.mode,
    `${goalWords(goal)} × ${goal.to}`,
    ratioWords(goal.ratio),
    verdictWord(goal),
  ])
  return [
    ...tableOf([['', 'mode', ...Object.values(columns)], ...rows]),
    '',
    ...tableOf([['goal', 'mode', '', 'measured: median [range]', ''], ...verdicts]),
    '',
    `${headWords(setting)}.`,
  ].join('\n')
}

function figures(outcome) {
  const rows = tabled(outcome)
  // The floors share a column.
  const names = new Set(rows.flatMap(({ values }) => values.map(({ contender }) => contender)))
  const columns = [...names].filter((name) => !FLOORS.includes(name))
  const cells = rows.map(({ title, mode, figure, values }) => {
    const cell = (value) => (value ? figureWords(value, figure.write) : '')
    const floor = values.find(({ contender }) => FLOORS.includes(contender))
    return [
      `${title}: ${figure.words}`,
      mode,
      ...columns.map((name) => cell(values.find(({ contender }) => contender === name))),
      floor ? `${cell(floor)} (${floor.contender})` : '',
    ]
  })
  return [
    `![Measured side by side: bars of each contender](${PICTURE})`,
    '',
    ...tableOf([['', 'mode', ...columns, 'floor'], ...cells]),
    '',
    'A figure is the median of the rounds, or their range where they differ by more than a factor of two. An update leaves',
    'an audit record only where the row says so. Clients send the module’s own script for it; “bare script” is ioredis',
    'with one of its own that compares, sets and publishes.',
    '',
    modeWords(outcome.setting),
    '',
    `${headWords(outcome.setting)}.`,
  ].join('\n')
}

/** Columns as wide as their widest cell, as the formatter has it. */
function tableOf(rows) {
  const widths = rows[0].map((_, at) => Math.max(3, ...rows.map((row) => row[at].length)))
  const line = (cells) => `| ${cells.join(' | ')} |`
  const padded = rows.map((row) => line(row.map((cell, at) => cell.padEnd(widths[at]))))
  padded.splice(1, 0, line(widths.map((width) => '-'.repeat(width))))
  return padded
}
