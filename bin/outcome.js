'use strict'

/** What the exit code tells a script. */
const ExitCode = Object.freeze({
  /** The command did what it says. */
  FINE: 0,
  /** A server refused it, could not be reached, or does not have what was asked for. */
  FAILED: 1,
  /** Wrong usage: an unknown option, a missing argument, an invalid URL. */
  USAGE: 2,
  /** It found something that somebody has to look at. */
  FOUND: 3,
  /** It would change something, and `--yes` was not given. Nothing changed. */
  WOULD_CHANGE: 4,
  /** Ctrl-C. */
  INTERRUPTED: 130,
})

/** The command line asks for what does not exist. */
class UsageError extends Error {}

/** The command cannot do what it was asked for. */
class CommandError extends Error {}

/** Ctrl-C, or the reader of the output has gone. */
class InterruptedError extends Error {
  constructor() {
    super('interrupted')
  }
}

module.exports = { CommandError, ExitCode, InterruptedError, UsageError }
