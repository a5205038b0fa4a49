'use strict'

const { run } = require('./command-line.js')
const { blocksOf, commandsOf, textOf } = require('./documentation.js')
const { until } = require('./until.js')

const PAGE = 'docs/runbook.md'
const PROGRAM = 'npx synckairos-state '
const REDIS = 'redis-cli '
const EXIT_CODE = /^exit code (\d+)$/

/** The headings of all incidents, in the order of the page. */
function headings() {
  return [...textOf(PAGE).matchAll(/^## (.*)$/gm)].map(([, heading]) => heading)
}

/**
 * One incident of the page: its commands in their order, each with what the page says that it prints. A
 * test plays it: it makes the trouble, and between the commands does what the page tells people to do.
 */
class Incident {
  #steps
  #servers
  #at = 0

  /**
   * @param {string} heading
   * @param {object} servers
   * @param {Record<string, string>} servers.env REDIS_URL and DATABASE_URL
   * @param {import('ioredis').Redis} [servers.redis] executes the commands of redis-cli
   * @param {(sql: string) => Promise<unknown>} [servers.query] executes blocks of SQL
   */
  constructor(heading, servers) {
    this.#steps = stepsOf(heading)
    this.#servers = servers
  }

  /**
   * Plays the next block of the page. Whoever is on call repeats a command that only reads until it
   * prints what the page says; a command that changes something runs once. Throws if something else is
   * printed.
   */
  async next({ timeoutMs = 15_000 } = {}) {
    const step = this.#steps[this.#at++]
    if (!step) throw new Error('the page has no further command')
    const { command } = step
    if (step.language === 'sql') return this.#servers.query(command)
    if (command.startsWith(REDIS)) {
      return this.#servers.redis.call(...command.slice(REDIS.length).split(' '))
    }
    let told
    const isAsPrinted = async () => {
      told = await run(command.slice(PROGRAM.length).split(' '), this.#servers.env)
      return missing(step, told) === undefined
    }
    const isChange = command.includes(' --yes')
    try {
      await until(isAsPrinted, isChange ? 0 : timeoutMs)
    } catch (error) {
      const { code, stdout, stderr } = told ?? {}
      const wanted = `${PAGE}:${step.line}: ${command}: "${missing(step, told)}"`
      throw new Error(`${wanted} is not in:\n${stdout}${stderr}exit code ${code}`, { cause: error })
    }
  }

  /** What `health()` resolves to, until it is what the page says. @param {() => Promise<unknown>} health */
  async health(health, { timeoutMs = 15_000 } = {}) {
    const step = this.#steps[this.#at++]
    if (step?.language !== 'json') throw new Error('the page tells of no health here')
    const wanted = JSON.parse(step.command)
    await until(async () => {
      const { ready, reasons } = await health()
      const isAsTold =
        reasons.length === wanted.reasons.length &&
        wanted.reasons.every((reason, at) => patternOf(reason).test(plain(reasons[at])))
      return ready === wanted.ready && isAsTold
    }, timeoutMs)
  }

  /** The commands that were not played yet. */
  get left() {
    return this.#steps.slice(this.#at).map(({ command }) => command)
  }
}

/** The commands under a heading; those of the program with the text block that follows. */
function stepsOf(heading) {
  const lines = textOf(PAGE).split('\n')
  const first = lines.indexOf(`## ${heading}`)
  if (first < 0) throw new Error(`${PAGE} has no "${heading}"`)
  const next = lines.findIndex((line, at) => at > first && line.startsWith('## '))
  const last = next < 0 ? lines.length : next
  const blocks = blocksOf(PAGE).filter(({ line }) => line > first && line <= last)
  return blocks.flatMap((block, at) => {
    const { language, line, text } = block
    if (language === 'sql' || language === 'json') return [{ language, line, command: text }]
    if (language !== 'sh') return []
    const [command, ...more] = commandsOf(block)
    if (command.startsWith(REDIS)) return [{ language, line, command }]
    const after = blocks[at + 1]
    const printed = after?.language === 'text' ? after.text.trim().split('\n') : []
    const [, code] = EXIT_CODE.exec(printed.pop() ?? '') ?? []
    if (more.length > 0 || code === undefined || !command.startsWith(PROGRAM)) {
      throw new Error(`${PAGE}:${line}: one command, what it prints, and its exit code`)
    }
    return [{ language, line, command, printed, code: Number(code) }]
  })
}

/** The first line of the page that is not in the output, in this order; the exit code counts as the last. */
function missing({ printed, code }, told) {
  const output = `${told.stdout}${told.stderr}`.split('\n').map(plain)
  let from = 0
  for (const line of printed) {
    const at = output.findIndex((one, index) => index >= from && patternOf(line).test(one))
    if (at < 0) return line
    from = at + 1
  }
  return told.code === code ? undefined : `exit code ${code}`
}

/** `…` stands for anything. */
function patternOf(line) {
  const parts = plain(line).split('…')
  return new RegExp(
    `^${parts.map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('.*')}$`,
  )
}

/** Columns may have any width. */
function plain(line) {
  return line.replaceAll(/\s+/g, ' ').trim()
}

module.exports = { Incident, headings }
