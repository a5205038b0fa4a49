'use strict'

const { addMethod } = require('./commands.js')
const { RedisReplyError } = require('../realm/errors.js')

/**
 * Runs a command: its name, its arguments, and whether its reply is to hold buffers.
 *
 * @template T
 * @typedef {(name: string, args: any[], asBuffers: boolean) => T} Run
 */

/** The methods of a client that its owner has defined by Lua scripts. */
class Scripts {
  /** @type {Map<string, Script>} */
  #scripts = new Map()

  /** @param {string} name @param {{ lua: string, numberOfKeys?: number }} definition */
  define(name, definition) {
    this.#scripts.set(name, new Script(definition))
  }

  /**
   * Sent by its digest, and whole where Redis does not know it.
   *
   * @param {string} name
   * @param {any[]} args
   * @param {boolean} asBuffers
   * @param {Run<Promise<any>>} run
   */
  async run(name, args, asBuffers, run) {
    const { digest, lua, before } = /** @type {Script} */ (this.#scripts.get(name))
    const rest = [...before, ...args.flat()]
    try {
      return await run('evalsha', [digest, ...rest], asBuffers)
    } catch (error) {
      // Nothing was executed.
      if (!(error instanceof RedisReplyError && error.message.startsWith('NOSCRIPT'))) throw error
      return run('eval', [lua, ...rest], asBuffers)
    }
  }

  /**
   * Gives a pipeline the same methods. There a script is sent whole: that Redis does not know it
   * would be found in the middle.
   *
   * @template {object} T
   * @param {T} pipeline
   * @param {Run<unknown>} run
   * @returns {T}
   */
  addTo(pipeline, run) {
    for (const [name, { lua, before }] of this.#scripts) {
      const words = (/** @type {any[]} */ args) => [lua, ...before, ...args.flat()]
      addMethod(pipeline, name, (/** @type {any[]} */ ...args) => run('eval', words(args), false))
      addMethod(pipeline, `${name}Buffer`, (/** @type {any[]} */ ...args) =>
        run('eval', words(args), true),
      )
    }
    return pipeline
  }
}

class Script {
  /** @param {{ lua: string, numberOfKeys?: number }} definition */
  constructor({ lua, numberOfKeys }) {
    // Not before it is needed: to load it takes 2 ms.
    const { createHash } = require('node:crypto')
    this.lua = lua
    this.digest = createHash('sha1').update(lua).digest('hex')
    /** What comes before the caller's arguments: else the first of them is the number of keys. */
    this.before = numberOfKeys === undefined ? [] : [numberOfKeys]
  }
}

module.exports = { Scripts }
