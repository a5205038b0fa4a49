// Runs the tests of what a service uses on each JavaScript runtime, and prints what works where.
//
//   npm run test:runtimes [-- [--markdown] [runtime …]]
//   node scripts/runtimes.mjs --check   whether docs/runtimes.md has their table; runs nothing

import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { CAPABILITIES, LIMITATIONS } from '../__test__/runtimes/capabilities.js'
import { jest, main } from './matrix/main.mjs'
import { installRuntimes, RUNTIMES } from './runtime-packages.mjs'

const WITHOUT_JEST = '__test__/runtimes/without-jest.js'

process.chdir(path.join(path.dirname(fileURLToPath(import.meta.url)), '..'))

const rows = CAPABILITIES.map(({ file, on, ...capability }) => ({
  ...capability,
  files: [file],
  isFor: ({ kind }) => (on ?? kind) === kind,
}))
const limitations = LIMITATIONS.map(({ runtimes, ...limitation }) => ({
  ...limitation,
  columns: runtimes,
}))

let installed = []
process.exitCode = await main({
  script: 'test:runtimes',
  page: 'docs/runtimes.md',
  matrices: [{ marker: 'runtimes', columns: RUNTIMES, rows, limitations }],
  install: () => {
    installed = installRuntimes()
  },
  runOf: (row, { name }) => {
    const { kind, command, args } = installed.find((one) => one.name === name)
    return { command, args: [...args, ...(kind === 'node' ? jest(row) : withoutJest(row))] }
  },
})

/** Jest makes its sandboxes with what only Node has. */
function withoutJest({ files: [file], only }) {
  const pattern = only === undefined ? [] : [`--testNamePattern=${only}`]
  return [WITHOUT_JEST, ...pattern, path.join('__test__', file)]
}
