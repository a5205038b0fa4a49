// Runs the tests that need no server, for whoever changes a line: those of the Rust library, and the
// Jest files that cannot start one.
//
//   npm run test:quick [-- options of Jest]

import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const ROOT = path.join(path.dirname(fileURLToPath(import.meta.url)), '..')
const JEST = path.join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js')

/** Whatever starts a real server loads this file. */
const GUARD = '__test__/harness/real-servers.js'

/** Its tests run on every engine; here on the memory engine alone. */
const CONFORMANCE = path.join(ROOT, '__test__', 'conformance')

/** How many histories the simulation invents: a few seconds' worth. */
const HISTORIES = '1000'

/** The quick test files: those that load nothing that starts a server, and the conformance suite. */
export function quickTests() {
  const startServers = new Set(list('--findRelatedTests', GUARD))
  const isQuick = (file) => !startServers.has(file) || file.startsWith(CONFORMANCE + path.sep)
  return list().filter((file) => isQuick(file) && !isSlow(file))
}

function list(...args) {
  const output = execFileSync(process.execPath, [JEST, '--listTests', '--json', ...args], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  return JSON.parse(output)
}

/** Whether its first comment marks it as `@slow`: it waits for a minute. */
function isSlow(file) {
  return /^\/\*\*(?:(?!\*\/)[\s\S])* @slow\b/.test(fs.readFileSync(file, 'utf8'))
}

function run(command, args, env) {
  const options = { cwd: ROOT, env: { ...process.env, ...env }, stdio: 'inherit' }
  const { status } = spawnSync(command, args, options)
  if (status !== 0) process.exit(status ?? 1)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  run('cargo', ['test', '--locked', '--lib'], { SYNCKAIROS_HISTORIES: HISTORIES })
  run(process.execPath, [JEST, ...process.argv.slice(2), '--runTestsByPath', ...quickTests()], {
    SYNCKAIROS_TEST_SERVERS: 'none',
    SYNCKAIROS_TEST_ENGINES: 'memory',
  })
}
