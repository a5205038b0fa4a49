'use strict'

const path = require('node:path')
const { parseArgs } = require('node:util')
const circus = require('jest-circus')
const { expect } = require('expect')
const { ModuleMocker } = require('jest-mock')

// Runs one test file where Jest itself does not run: with Jest's own `describe`, `test`, hooks,
// `expect` and mocks, but in no sandbox. Prints what of `jest --json` is read of it.
//
//   <runtime> without-jest.js [--testNamePattern=…] <file>

const { afterAll, afterEach, beforeAll, beforeEach, describe, it, test } = circus
const jest = new ModuleMocker(globalThis)
Object.assign(globalThis, { afterAll, afterEach, beforeAll, beforeEach, describe, it, test })
Object.assign(globalThis, { expect, jest })

const { values, positionals } = parseArgs({
  options: { testNamePattern: { type: 'string' } },
  allowPositionals: true,
})
require(path.resolve(positionals[0]))

async function run() {
  const pattern = values.testNamePattern
  const testNamePattern = pattern === undefined ? null : new RegExp(pattern)
  circus.setState({ ...circus.getState(), testNamePattern, testTimeout: 30_000 })
  const { testResults, unhandledErrors } = await circus.run()
  const assertionResults = testResults.map(({ status, testPath, errors }) => ({
    fullName: testPath.slice(1).join(' '), // The first is the root's.
    status: status === 'done' ? (errors.length > 0 ? 'failed' : 'passed') : 'pending',
    failureMessages: errors.map(toText),
  }))
  const message = unhandledErrors.map(String).join('\n')
  return JSON.stringify({ testResults: [{ assertionResults, message }] })
}

/** An error comes alone, or with the place where it was caught. */
function toText(error) {
  const [thrown, caught] = Array.isArray(error) ? error : [error]
  return String((thrown ?? caught)?.stack ?? thrown)
}

// The runtime's own leftovers of servers and sockets are not what is tested.
run().then((text) => process.stdout.write(`${text}\n`, () => process.exit()))
