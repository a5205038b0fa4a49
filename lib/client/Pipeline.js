'use strict'

const { RUN, addCommands, addMethod, takeCallback, withCallback } = require('./commands.js')
const { InvalidStateError, RedisReplyError } = require('../realm/errors.js')
const { shaped } = require('./replies.js')
const { commandOf } = require('./requests.js')

/** @typedef {import('./requests.js').Command} Command */
/** @typedef {import('./commands.js').Callback} Callback */

/**
 * Sends commands together. `error` says why replies are missing.
 *
 * @callback Send
 * @param {Command[]} commands
 * @param {boolean} transaction
 * @returns {Promise<{ replies: import('./replies.js').ReplyReader, error: Error | undefined }>}
 */

/** Commands that are kept until `exec()`, and sent together then; or as a transaction. */
class Pipeline {
  #send
  #isTransaction
  /** @type {(Command & { callback: Callback | undefined })[]} */
  #commands = []
  /** @type {Promise<any> | undefined} */
  #executed

  /** @param {Send} send @param {boolean} isTransaction */
  constructor(send, isTransaction) {
    this.#send = send
    this.#isTransaction = isTransaction
  }

  /** How many commands there are. */
  get length() {
    return this.#commands.length
  }

  /** @param {string} name @param {any[]} args @param {boolean} asBuffers */
  [RUN](name, args, asBuffers) {
    return this.#add(name, args, asBuffers)
  }

  /** @param {string} name @param {any[]} args @param {boolean} asBuffers */
  #add(name, args, asBuffers) {
    if (this.#executed) throw new InvalidStateError('pipeline', 'its exec() was called already')
    const callback = takeCallback(args)
    this.#commands.push({ ...commandOf(name, args, asBuffers), callback })
    return this
  }

  /** @param {string} name @param {any[]} args */
  call(name, ...args) {
    return this.#add(name, args, false)
  }

  /** @param {string} name @param {any[]} args */
  callBuffer(name, ...args) {
    return this.#add(name, args, true)
  }

  /** Adds commands, each a name and arguments. @param {any[][]} commands */
  addBatch(commands) {
    for (const [name, ...args] of commands) /** @type {any} */ (this)[name](...args)
    return this
  }

  /** @param {Callback} [callback] */
  exec(callback) {
    this.#executed ??= this.#isTransaction ? this.#transact() : this.#execute()
    return withCallback(this.#executed, callback)
  }

  async #execute() {
    if (this.#commands.length === 0) return []
    const { replies, error } = await this.#send(this.#commands, false)
    // What the caller has done wrong is no outcome of each command.
    if (error instanceof InvalidStateError) throw error
    return this.#commands.map((command) => {
      return told(
        command,
        replies.isOver ? error : shaped(command.name, replies.next(command.asBuffers)),
      )
    })
  }

  async #transact() {
    if (this.#commands.length === 0) return []
    const { replies, error } = await this.#send(this.#commands, true)
    if (error) throw error
    // `MULTI` and each command were answered: queued, or why not.
    const answers = ['multi', ...this.#commands].map(() => replies.next(false))
    const previousErrors = answers.filter((answer) => answer instanceof RedisReplyError)
    const [begun] = previousErrors
    if (begun !== undefined && begun === answers[0]) {
      const reason = `MULTI was refused, and so each command was executed by itself: ${begun.message}`
      throw Object.assign(new RedisReplyError(reason), { previousErrors })
    }
    const executed = replies.list(this.#commands.map(({ asBuffers }) => asBuffers))
    if (executed instanceof RedisReplyError) throw Object.assign(executed, { previousErrors })
    if (executed === null) return null
    return this.#commands.map((command, at) => told(command, shaped(command.name, executed[at])))
  }
}

/** What becomes of one command, and its callback. @param {{ callback: Callback | undefined }} command @param {any} outcome */
function told({ callback }, outcome) {
  const result = outcome instanceof Error ? [outcome] : [null, outcome]
  // Not at once: what it throws must not cost the others their outcome.
  if (callback) Promise.resolve().then(() => callback(.../** @type {[any, any]} */ (result)))
  return result
}

addCommands(Pipeline.prototype)
addMethod(Pipeline.prototype, 'execBuffer', Pipeline.prototype.exec)

module.exports = { Pipeline }
