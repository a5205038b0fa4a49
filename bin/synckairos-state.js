#!/usr/bin/env node
'use strict'

// The process around the program: its streams, its signals and its exit code.

const { run } = require('./program.js')

/** How long open connections may hold up the end, ms. */
const CLOSING_MS = 3000
const INTERRUPTED = 130

const interrupt = new AbortController()

process.once('SIGINT', () => {
  interrupt.abort()
  // Who presses Ctrl-C again does not want to wait.
  process.once('SIGINT', () => process.exit(INTERRUPTED))
})
process.once('SIGTERM', () => interrupt.abort())
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (/** @type {NodeJS.ErrnoException} */ error) => {
    // `| head` has read what it wanted.
    if (error.code !== 'EPIPE') throw error
    interrupt.abort()
  })
}

run(process.argv.slice(2), {
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: interrupt.signal,
}).then((code) => {
  process.exitCode = code
  // When all is written, what is still open holds up the end only for so long.
  process.stdout.write('', () => setTimeout(() => process.exit(), CLOSING_MS).unref())
})
