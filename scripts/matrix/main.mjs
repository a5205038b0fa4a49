// Runs test files on everything that they are to work on, and prints what works where.
//
// `--markdown` prints the tables as the page has them, and nothing else; `--check` tells whether the page has
// them, and runs nothing. Arguments name columns; all of them by default. Fails where something fails that is
// not known to, or works that is known not to.

import { spawn } from 'node:child_process'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { isOnPage, markdown, plain } from './table.mjs'

/** How many are run at once: most of them wait most of the time. */
const AT_ONCE = 2

/** What has not ended by then hangs. */
const TIMEOUT_MS = 600_000

const JEST = ['node_modules/jest/bin/jest.js', '--json', '--silent', '--ci']
JEST.push('--testMatch=**/__test__/**', '--runTestsByPath')

/** Jest's arguments, for files of this pattern of names of tests. */
export function jest({ files, only }) {
  const pattern = only === undefined ? [] : [`--testNamePattern=${only}`]
  return [...JEST, ...pattern, ...files.map((file) => `__test__/${file}`)]
}

/**
 * @param {object} options
 * @param {string} options.script the name of npm's script
 * @param {string} options.page which has the tables
 * @param {import('./table.mjs').Matrix[]} options.matrices
 * @param {() => unknown} options.install makes what is tried ready
 * @param {(row: any, column: any) => { command: string, args: string[], env?: NodeJS.ProcessEnv }} options.runOf
 *   how a row is run, which prints what Jest prints with `--json`
 */
export async function main({ script, page, matrices, install, runOf }) {
  const { values, positionals } = parseArgs({
    options: { markdown: { type: 'boolean' }, check: { type: 'boolean' } },
    allowPositionals: true,
  })
  if (values.check) return check(script, page, matrices)
  const known = matrices.flatMap(({ columns }) => columns.map(({ name }) => name))
  const unknown = positionals.filter((name) => !known.includes(name))
  if (unknown.length > 0) {
    process.stderr.write(`there is no ${unknown}; there are: ${known.join(', ')}\n`)
    return 2
  }
  await install()
  const news = []
  let passed = 0
  for (const matrix of matrices) {
    const isWanted = ({ name }) => positionals.length === 0 || positionals.includes(name)
    const wanted = { ...matrix, columns: matrix.columns.filter(isWanted) }
    if (wanted.columns.length === 0) continue
    const filled = await fill(wanted, runOf)
    news.push(...filled.news)
    passed += filled.passed
    process.stdout.write(`${(values.markdown ? markdown : plain)(wanted, filled.cells)}\n\n`)
  }
  const remarks = values.markdown ? process.stderr : process.stdout
  for (const text of news) remarks.write(`\nFAILED ${text}\n`)
  remarks.write(`\n${passed} passed, ${news.length} failed\n`)
  return news.length > 0 ? 1 : 0
}

function check(script, page, matrices) {
  if (matrices.every((matrix) => isOnPage(page, matrix))) return 0
  process.stderr.write(
    `${page} does not have the tables: \`npm run ${script} -- --markdown\` prints what belongs there\n`,
  )
  return 1
}

/** Runs all rows on all columns. */
async function fill({ columns, rows, limitations }, runOf) {
  const news = []
  let passed = 0
  const cells = rows.map(({ name }) => [name, ...columns.map(() => 'not tried')])
  const left = rows.flatMap((row, at) =>
    columns
      .filter((column) => column.isThere !== false && row.isFor?.(column) !== false)
      .map((column) => ({ row, column, cell: [at, columns.indexOf(column) + 1] })),
  )
  const lane = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const { row, column } = next
      const set = (text) => {
        cells[next.cell[0]][next.cell[1]] = text
      }
      const known = limitations.filter(({ columns: on }) => on.includes(column.name))
      if (known.some((limitation) => limitation.rows?.includes(row.name))) {
        set('no')
        continue
      }
      const outcome = await cell(row, column, known, runOf)
      set(outcome.text)
      passed += outcome.passed
      news.push(...outcome.fresh.map((text) => `${column.name}: ${row.name}: ${text}`))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
  return { cells, news, passed }
}

/** What works of a row in a column, in a word, and what is new about it. */
async function cell(row, column, known, runOf) {
  const started = performance.now()
  const { tests, trouble } = await run(runOf(row, column))
  const fresh = trouble ? [trouble] : []
  let [passed, limited] = [0, 0]
  for (const { fullName, status, failureMessages } of tests) {
    const limitation = known.find(({ test }) => test === fullName)
    if (status === 'passed') passed++
    if (status === 'failed' && limitation) limited++
    else if (status === 'failed') fresh.push(`${fullName}\n${failureMessages.join('\n')}`)
    else if (status === 'passed' && limitation)
      fresh.push(`${fullName}\n  works now: ${limitation.why}`)
  }
  if (tests.every(({ status }) => status === 'pending')) fresh.push('no test was run')
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  const outcome = fresh.length > 0 ? 'FAILED' : limited > 0 ? 'limited' : 'ok'
  const name = column.name.padEnd(13)
  process.stderr.write(`${outcome.padEnd(8)} ${name} ${row.name} (${seconds} s)\n`)
  return { text: outcome === 'limited' ? 'no' : outcome, passed, fresh }
}

/** The tests of a run, as Jest tells of them, and what else went wrong. */
function run({ command, args, env }) {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1', ...env },
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS)
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (data) => {
    stdout += data
  })
  child.stderr.on('data', (data) => {
    stderr += data
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      const line = stdout.split('\n').findLast((text) => text.startsWith('{'))
      const ended = `ended with ${signal ?? code}\n${stdout}\n${stderr}`
      if (line === undefined || signal) return resolve({ tests: [], trouble: ended })
      const files = JSON.parse(line).testResults
      resolve({
        tests: files.flatMap(({ assertionResults }) => assertionResults),
        trouble: files.map(troubleOf).filter(Boolean).join('\n'),
      })
    })
  })
}

/** A file that fails as a whole has a message and no failed test. */
function troubleOf({ assertionResults, message }) {
  const isWhole = message !== '' && assertionResults.every(({ status }) => status !== 'failed')
  return isWhole ? message : undefined
}
