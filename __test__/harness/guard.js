'use strict'

const { spawn } = require('node:child_process')
const { once } = require('node:events')

/**
 * Its input ends when this process does, however that was. A server that stands still hears of
 * nothing until it is continued; one that was asked to quit kills its own children after 5 s.
 */
const SCRIPT = `
pid=
while read -r line; do pid=$line; done
if [ "$pid" ]; then
  kill -QUIT "$pid" && kill -CONT "$pid"
  tries=100
  while [ $tries -gt 0 ] && kill -0 "$pid"; do sleep 0.1; tries=$((tries - 1)); done
fi
rm -rf "$0"
`

/**
 * A shell that outlives this process by a moment: stops the server that it watches, and removes
 * the server's directory.
 */
class Guard {
  #shell

  constructor(directory) {
    // Detached, so that Ctrl-C in a terminal does not end it before its work.
    const options = { detached: true, stdio: ['pipe', 'ignore', 'ignore'] }
    this.#shell = spawn('sh', ['-c', SCRIPT, directory], options)
    this.#shell.unref()
    this.#shell.stdin.unref?.()
  }

  /** From now on this server; none, where it is undefined. */
  watch(pid) {
    this.#shell.stdin.write(`${pid ?? ''}\n`)
  }

  /** Does now what it would have done when this process had ended. */
  async end() {
    const { exitCode, signalCode } = this.#shell
    if (exitCode !== null || signalCode !== null) return
    this.#shell.ref()
    const ended = once(this.#shell, 'exit')
    this.#shell.stdin.end()
    await ended
  }
}

module.exports = { Guard }
