'use strict'

const { NativeExpiry } = require('../realm/native.js')
const { RedisClient } = require('../client/RedisClient.js')
const { fromWire } = require('../realm/wire.js')
const { close, listen, open, unlisten } = require('../realm/settle.js')

/**
 * Tells of the expired sessions of one manager, in the core.
 *
 * @typedef {object} Troubles
 * @property {(error: Error) => void} refused Redis refuses what it takes
 * @property {(count: number) => void} unaudited so many have no record: the backlog is full
 */
class Expiry {
  #native
  #listener
  #troubles

  /**
   * @param {InstanceType<typeof RedisClient>} client
   * @param {import('../../native.js').NativeStore} store
   * @param {Troubles} troubles
   */
  constructor(client, store, troubles) {
    this.#troubles = troubles
    this.#listener = listen(this)
    this.#native = new NativeExpiry(open(), RedisClient.native(client), store, this.#listener)
  }

  /** @param {number} _kind @param {number} count @param {string | null} refusal */
  news(_kind, count, refusal) {
    if (refusal === null) this.#troubles.unaudited(count)
    else this.#troubles.refused(fromWire(refusal))
  }

  end() {
    this.#native.end()
    unlisten(this.#listener)
    close()
  }
}

module.exports = { Expiry }
