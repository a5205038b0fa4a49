'use strict'

// What is tried on each runtime, and what is known not to work there.

/**
 * The rows of the table. `file` is a test file; `only` a pattern of the names of those of its
 * tests that count; `on` a kind of runtime, where others are not asked for it.
 *
 * @type {{ name: string, file: string, only?: string, on?: string }[]}
 */
const CAPABILITIES = [
  { name: 'sessions, versions, errors, subscriptions', file: 'conformance/contract.test.js' },
  { name: '`modifySession`', file: 'conformance/modify.test.js' },
  { name: 'callbacks', file: 'conformance/callbacks.test.js' },
  { name: 'clients and `call()`', file: 'client.test.js' },
  { name: 'instances of ioredis and node-redis', file: 'adoption.test.js' },
  { name: '`import` and `require`', file: 'module-systems.test.js' },
  { name: 'TLS', file: 'tls.test.js' },
  { name: 'the audit in PostgreSQL', file: 'audit-rows.test.js' },
  {
    name: 'a process ends by itself, or stays; worker threads',
    file: 'process-life.test.js',
  },
  {
    name: 'an audit worker keeps the process alive',
    file: 'audit-process-life.test.js',
    only: '^a process (whose|that exits)',
  },
  { name: 'field names that end in a backslash', file: 'runtimes/backslash-names.js' },
  {
    name: '200 exits and 200 terminated worker threads with calls in flight',
    file: 'runtimes/abrupt-ends.js',
    on: 'node',
  },
]

/**
 * A test that fails on these runtimes, and why. One that fails elsewhere, and one that passes
 * here, are both news, and fail the run.
 *
 * @type {{ runtimes: string[], test: string, why: string }[]}
 */
const LIMITATIONS = [
  {
    runtimes: ['Node.js 24', 'Node.js 26', 'Deno 2.9'],
    test: 'a field whose name ends in a backslash is not taken for another',
    why: "V8's `JSON.parse` (13.6 and later) reads a field's name that ends in an escaped character as an equally long one that ends in a backslash, where it has just read such a one in the same place",
  },
]

module.exports = { CAPABILITIES, LIMITATIONS }
