// What is being done, on stderr: a step a line, and what each waits for, with the seconds since the
// start. stdout is for the command that comes after.

import { spawn } from 'node:child_process'
import process from 'node:process'

/** How often a terminal shows what the steps wait for, and how often a log does. */
const TERMINAL_MS = 250
const LOG_MS = 10_000

/** How much a failed command shows of what it printed, in characters. */
const SHOWN = 10_000

/** Steps that run one after the other or side by side. The first that fails stops the others. */
export class Steps {
  #started = performance.now()
  #isTerminal = process.stderr.isTTY === true
  #stop = new AbortController()
  /** What each running step waits for. @type {Map<string, string>} */
  #running = new Map()
  #timer

  /**
   * @template T
   * @param {string} name
   * @param {(step: Step) => Promise<T>} action
   * @returns {Promise<T>}
   */
  async run(name, action) {
    this.#running.set(name, '')
    this.#timer ??= setInterval(() => this.#show(), this.#isTerminal ? TERMINAL_MS : LOG_MS)
    this.say(`${name} …`)
    try {
      const result = await action(new Step((text) => this.#running.set(name, text), this.#stop))
      this.#running.delete(name)
      this.say(`${name}: done`)
      return result
    } catch (error) {
      this.#stop.abort()
      throw error
    } finally {
      this.#running.delete(name)
      if (this.#running.size === 0) {
        clearInterval(this.#timer)
        this.#timer = undefined
      }
    }
  }

  say(text) {
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(0).padStart(3)
    process.stderr.write(`${this.#isTerminal ? '\r\x1b[K' : ''}setup: ${seconds} s  ${text}\n`)
  }

  #show() {
    const parts = [...this.#running].map(([name, text]) => (text ? `${name}: ${text}` : name))
    if (!this.#isTerminal) return this.say(parts.join('; '))
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(0).padStart(3)
    const line = `setup: ${seconds} s  ${parts.join('; ')}`
    process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`)
  }
}

/** One of them: tells what it waits for, and runs commands. */
export class Step {
  #stop

  constructor(waitFor, stop) {
    /** @type {(text: string) => void} */
    this.waitFor = waitFor
    this.#stop = stop
  }

  /**
   * Runs a command to its end. Rejects, with the last of what it printed, where it fails.
   *
   * @param {string} name
   * @param {string[]} args
   * @param {{ env?: NodeJS.ProcessEnv, onLine?: (line: string) => void }} [options] `onLine` gets
   *   each line of stderr
   * @returns {Promise<string>} what it wrote to stdout
   */
  run(name, args, { env = process.env, onLine = () => {} } = {}) {
    const shell = process.platform === 'win32' && name === 'npm' // A batch file there.
    const child = spawn(name, args, {
      env,
      shell,
      signal: this.#stop.signal,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [stdout, stderr, line] = ['', '', '']
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr = (stderr + text).slice(-SHOWN)
      const lines = (line + text).split(/[\r\n]+/)
      line = lines.pop()
      for (const one of lines) onLine(one)
    })
    return new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => {
        if (code === 0) return resolve(stdout)
        const command = [name, ...args].join(' ')
        reject(new Error(`\`${command}\` ended with ${signal ?? code}:\n${stderr.trim()}`))
      })
    })
  }
}
