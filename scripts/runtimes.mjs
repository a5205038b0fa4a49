// Runs the tests of what a service uses on each JavaScript runtime, and prints what works where.
//
//   npm run test:runtimes [-- [--markdown] [runtime …]]
//   node scripts/runtimes.mjs --check   whether docs/runtimes.md has their table; runs nothing
//
// `--markdown` prints the table as docs/runtimes.md has it, and nothing else. Runtimes are named as in
// the table; all of them by default. Fails where something fails that is not known to, or works
// that is known not to.

import { spawn } from 'node:child_process'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { CAPABILITIES, LIMITATIONS } from '../__test__/runtimes/capabilities.js'
import { installRuntimes } from './runtime-packages.mjs'
import { isOnPage, limitationsOn, markdown } from './runtimes-table.mjs'

const JEST = 'node_modules/jest/bin/jest.js'
const WITHOUT_JEST = '__test__/runtimes/without-jest.js'

/** How many are run at once. */
const AT_ONCE = 2

/** One that has not ended by then hangs. */
const TIMEOUT_MS = 300_000

process.chdir(path.join(path.dirname(fileURLToPath(import.meta.url)), '..'))

const { values, positionals } = parseArgs({
  options: { markdown: { type: 'boolean' }, check: { type: 'boolean' } },
  allowPositionals: true,
})
if (values.check) check()
const installed = installRuntimes()
const unknown = positionals.filter((name) => !installed.some((one) => one.name === name))
if (unknown.length > 0) {
  process.stderr.write(`no such runtime: ${unknown}; there are: ${names(installed)}\n`)
  process.exit(2)
}
const runtimes = installed.filter(
  ({ name }) => positionals.length === 0 || positionals.includes(name),
)

const news = []
let passed = 0
const rows = CAPABILITIES.map(({ name }) => [name, ...runtimes.map(() => 'not tried')])
const cells = CAPABILITIES.flatMap((capability, row) =>
  runtimes.map((runtime, column) => ({ capability, runtime, row, column })),
).filter(({ capability, runtime }) => (capability.on ?? runtime.kind) === runtime.kind)
// Most of them wait most of the time.
await Promise.all(Array.from({ length: AT_ONCE }, lane))
const table = values.markdown ? markdown(runtimes, rows) : plain()
process.stdout.write(`${table}\n`)
const remarks = values.markdown ? process.stderr : process.stdout
for (const text of news) remarks.write(`\nFAILED ${text}\n`)
remarks.write(`\n${passed} passed, ${news.length} failed\n`)
process.exit(news.length > 0 ? 1 : 0)

/** Fills cells, one after the other, while there are any. */
async function lane() {
  for (let next = cells.shift(); next !== undefined; next = cells.shift()) {
    const { capability, runtime, row, column } = next
    rows[row][column + 1] = await cell(capability, runtime)
  }
}

function check() {
  if (isOnPage()) process.exit(0)
  const mends = '`npm run test:runtimes -- --markdown` prints what belongs there'
  process.stderr.write(`docs/runtimes.md does not have the table of the runtimes: ${mends}\n`)
  process.exit(1)
}

/** What works of a capability, in a word. Notes what is new about it. */
async function cell({ name: row, file, only }, runtime) {
  const started = performance.now()
  const { tests, trouble } = await run(path.join('__test__', file), only, runtime)
  const fresh = []
  if (trouble) fresh.push(trouble)
  let limited = 0
  for (const { fullName, status, failureMessages } of tests) {
    const limitation = LIMITATIONS.find(
      ({ runtimes: on, test }) => test === fullName && on.includes(runtime.name),
    )
    if (status === 'passed') passed++
    if (status === 'failed' && limitation) limited++
    else if (status === 'failed') fresh.push(`${fullName}\n${failureMessages.join('\n')}`)
    else if (status === 'passed' && limitation)
      fresh.push(`${fullName}\n  works now: ${limitation.why}`)
  }
  if (tests.every(({ status }) => status === 'pending')) fresh.push('no test was run')
  for (const text of fresh) news.push(`${runtime.name}: ${row}: ${text}`)
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  const outcome = fresh.length > 0 ? 'FAILED' : limited > 0 ? 'limited' : 'ok'
  process.stderr.write(`${outcome.padEnd(8)} ${runtime.name.padEnd(12)} ${row} (${seconds} s)\n`)
  return outcome === 'limited' ? 'no' : outcome
}

/** The tests of a file on a runtime, as Jest tells of them, and what else went wrong. */
function run(file, only, { kind, command, args }) {
  // Jest makes its sandboxes with what only Node has.
  const runner =
    kind === 'node'
      ? [JEST, '--json', '--silent', '--ci', '--testMatch=**/__test__/**', '--runTestsByPath']
      : [WITHOUT_JEST]
  if (only !== undefined) runner.push(`--testNamePattern=${only}`)
  const child = spawn(command, [...args, ...runner, file], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1' },
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
      const [{ assertionResults, message }] = JSON.parse(line).testResults
      // A file that fails as a whole has a message and no failed test.
      const whole = message !== '' && assertionResults.every(({ status }) => status !== 'failed')
      resolve({ tests: assertionResults, trouble: whole ? message : undefined })
    })
  })
}

function plain() {
  const head = ['', ...runtimes.map(({ name }) => name)]
  const widths = head.map((_, at) => Math.max(...[head, ...rows].map((row) => row[at].length)))
  const line = (row) =>
    row
      .map((text, at) => text.padEnd(widths[at]))
      .join('  ')
      .trimEnd()
  const notes = limitationsOn(runtimes).map(({ test, why }) => `${test}: ${why}`)
  return `${[head, ...rows].map(line).join('\n')}\n\n${notes.join('\n')}`
}

function names(list) {
  return list.map(({ name }) => name).join(', ')
}
