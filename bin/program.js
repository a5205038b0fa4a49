'use strict'

// Reads the command line, runs one command, prints what it has found, and says how it went.

const { parseArgs } = require('node:util')
const { version } = require('../package.json')
const { ExitCode, InterruptedError, UsageError } = require('./outcome.js')
const { Servers } = require('./servers.js')
const { OPTIONS, settingsOf } = require('./settings.js')
const { commandHelp, programHelp } = require('./terminal/help.js')
const { Paper } = require('./terminal/paper.js')
const { Printer } = require('./terminal/Printer.js')
const { Progress } = require('./terminal/Progress.js')

/**
 * @typedef {import('./command.js').Command} Command
 * @typedef {import('./command.js').Printer} Printer
 *
 * @typedef {object} Surroundings
 * @property {NodeJS.ProcessEnv} env
 * @property {NodeJS.WriteStream} stdout
 * @property {NodeJS.WriteStream} stderr
 * @property {AbortSignal} signal of Ctrl-C, and of a reader that has gone
 */

/** How long a command may take to end after Ctrl-C, ms: it may have something to delete. */
const TIDYING_MS = 1000

/** @type {Command[]} */
const COMMANDS = [
  require('./commands/status.js'),
  require('./commands/doctor.js'),
  require('./commands/session.js'),
  require('./commands/history.js'),
  require('./commands/diff.js'),
  require('./commands/watch.js'),
  require('./commands/dead.js'),
  require('./commands/restore.js'),
  require('./commands/drain.js'),
  require('./commands/adopt-bullmq.js'),
  require('./commands/bench.js'),
]

/**
 * @param {string[]} words the command line
 * @param {Surroundings} around
 * @returns {Promise<number>} the exit code
 */
async function run(words, { env, stdout, stderr, signal }) {
  const paper = Paper.of(stdout, env)
  const json = words.includes('--json')
  const print = new Printer(stdout, stderr, json)
  /** @type {import('./command.js').Servers | undefined} */
  let servers
  const progress = new Progress(stderr, !json)
  try {
    const asked = understand(words)
    if (typeof asked === 'string') {
      print.text(asked)
      return ExitCode.FINE
    }
    const { command, args, values } = asked
    const settings = settingsOf(values, env)
    servers = new Servers(settings)
    const checkpoint = () => {
      if (signal.aborted) throw new InterruptedError()
    }
    const context = { args, values, settings, servers, paper, print, progress, signal, checkpoint }
    const result = await interruptible(command.run(context), signal)
    if (result) print.result(result)
    return result?.code ?? ExitCode.FINE
  } catch (error) {
    progress.end()
    return failed(error, print)
  } finally {
    await servers?.close()
  }
}

/** The text of a help, or a command with its arguments. @param {string[]} words */
function understand([name, ...words]) {
  if (name === '--version') return version
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const command = COMMANDS.find((one) => one.name === words[0])
    return command ? commandHelp(command, OPTIONS) : programHelp(COMMANDS)
  }
  const command = COMMANDS.find((one) => one.name === name)
  if (!command) {
    const told = name.startsWith('-')
      ? 'the command comes before its options'
      : `there is no command "${name}"`
    throw new UsageError(`${told}; --help lists the commands`)
  }
  const { positionals: args, values } = parse(command, words)
  if (values.help) return commandHelp(command, OPTIONS)
  checkArguments(command, args)
  return { command, args, values }
}

/** @param {Command} command @param {string[]} words @returns {{ positionals: string[], values: Record<string, any> }} */
function parse({ name, options }, words) {
  try {
    return parseArgs({ args: words, options: { ...OPTIONS, ...options }, allowPositionals: true })
  } catch (error) {
    throw new UsageError(`${name}: ${/** @type {Error} */ (error).message}`)
  }
}

/** @param {Command} command @param {string[]} args */
function checkArguments({ name, arguments: wanted = [] }, args) {
  const missing = wanted.slice(args.length).find((one) => !one.startsWith('['))
  if (missing) throw new UsageError(`${name}: ${missing} is missing`)
  if (args.length > wanted.length && !wanted.at(-1)?.includes('…')) {
    throw new UsageError(`${name}: "${args[wanted.length]}" is one argument too many`)
  }
}

/**
 * Ends with Ctrl-C, also where a command waits for a server. A command that listens ends by itself.
 *
 * @template T
 * @param {Promise<T>} running
 * @param {AbortSignal} signal
 * @returns {Promise<T>}
 */
function interruptible(running, signal) {
  const interrupted = new Promise((_resolve, reject) => {
    const end = () => setTimeout(reject, TIDYING_MS, new InterruptedError()).unref()
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })
  return /** @type {Promise<T>} */ (Promise.race([running, interrupted]))
}

/** @param {unknown} error @param {Printer} print */
function failed(error, print) {
  if (error instanceof InterruptedError) return ExitCode.INTERRUPTED
  print.error(/** @type {Error} */ (error))
  return error instanceof UsageError || /** @type {any} */ (error)?.code === 'INVALID_STATE'
    ? ExitCode.USAGE
    : ExitCode.FAILED
}

module.exports = { COMMANDS, run }
