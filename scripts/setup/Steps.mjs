// Shows on stderr which steps run and how far each is, with the seconds since the start. stdout is for the
// command that comes after.

import { spawn } from 'node:child_process'
import process from 'node:process'

/** How often the progress is shown on a terminal, and in a log. */
const TERMINAL_MS = 250
const LOG_MS = 10_000

/** How much of what a command printed is shown, in characters. */
const SHOWN = 10_000

/** Steps that run one after the other or side by side. The first that fails stops the others. */
export class Steps {
  #started = performance.now()
  #isTerminal = process.stderr.isTTY === true
  #stop = new AbortController()
  /** The progress of each running step. @type {Map<string, string>} */
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
      const progress = (text) => this.#running.set(name, text)
      const say = (text) => this.say(text)
      const result = await action(new Step(progress, say, this.#stop.signal))
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

/** A running step: shows its progress, and runs commands. */
export class Step {
  #say
  #signal

  constructor(progress, say, signal) {
    /** @type {(text: string) => void} */
    this.progress = progress
    this.#say = say
    this.#signal = signal
  }

  /**
   * Runs a command to its end. Then shows what it wrote to stderr, without its progress; if it failed,
   * the error has that.
   *
   * @param {string} name
   * @param {string[]} args
   * @param {{ env?: NodeJS.ProcessEnv, isProgress?: (line: string) => boolean }} [options]
   * @returns {Promise<string>} what it wrote to stdout
   */
  run(name, args, { env = process.env, isProgress = () => false } = {}) {
    const shell = process.platform === 'win32' && name === 'npm' // A batch file there.
    const stdio = ['ignore', 'pipe', 'pipe']
    const child = spawn(name, args, { env, shell, signal: this.#signal, stdio })
    let [stdout, remarks, line] = ['', '', '']
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      const lines = (line + text).split(/[\r\n]+/)
      line = lines.pop()
      const kept = lines.filter((one) => !isProgress(one)).map((one) => `${one}\n`)
      remarks = (remarks + kept.join('')).slice(-SHOWN)
    })
    return new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => {
        const said = (remarks + line).trim()
        const command = [name, ...args].join(' ')
        if (code !== 0) reject(new Error(`\`${command}\` ended with ${signal ?? code}:\n${said}`))
        if (code === 0 && said) this.#say(said)
        resolve(stdout)
      })
    })
  }
}
