'use strict'

const { RedisStateManager } = require('../../index.js')

/** The managers of one test file, to be closed after each test. */
class Managers {
  #open = []

  /** @param {string} url @param {object} [options] those of the manager, and `queue` */
  open(url, { queue, ...options } = {}) {
    return this.keep(new RedisStateManager(url, undefined, queue, options))
  }

  /** Closes this one too: anything with a `close()`, or a client with a `quit()`. */
  keep(manager) {
    this.#open.push(manager)
    return manager
  }

  async close() {
    await Promise.all(this.#open.splice(0).map((one) => (one.close ? one.close() : one.quit())))
  }
}

module.exports = { Managers }
