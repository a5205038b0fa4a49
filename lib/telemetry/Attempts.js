'use strict'

const { ClosedError, RedisUnavailableError } = require('../realm/errors.js')
const { connect, connection, isTraced, publish } = require('./channels.js')

/** @typedef {import('../../state/tracing.js').ConnectContext} ConnectContext */

/** What the connections of a client are for, by their numbers; those after them are for subscriptions. */
const PURPOSES = Object.freeze(/** @type {const} */ (['sessions', 'commands']))

/**
 * Traces the attempts of a client to connect, and tells of connections that are ready or lost.
 *
 * The core makes the connections and tells their status: an attempt begins with `connecting` or
 * `reconnecting`, and ends with the next status.
 */
class Attempts {
  #server
  /** By the number of the connection. @type {Map<number, ConnectContext>} */
  #contexts = new Map()

  /** @param {() => import('../../state/tracing.js').ServerAttributes} server */
  constructor(server) {
    this.#server = server
  }

  /**
   * @param {number} number of the connection
   * @param {string | undefined} before its status so far
   * @param {string} status
   * @param {string | null} reason why it is lost, or was not made
   */
  moved(number, before, status, reason) {
    this.#end(number, status, reason)
    if (status === 'connecting' || status === 'reconnecting') this.#begin(number)
    const isReady = status === 'ready'
    if (isReady === (before === 'ready')) return
    publish(connection, () => ({
      ...this.#about(number),
      state: isReady ? 'ready' : 'lost',
      reason: isReady ? null : reason,
    }))
  }

  /** @param {number} number */
  #begin(number) {
    if (!isTraced(connect)) return
    const context = this.#about(number)
    this.#contexts.set(number, context)
    connect.start.publish(context)
    connect.end.publish(context)
  }

  /** @param {number} number @param {string} status @param {string | null} reason */
  #end(number, status, reason) {
    const context = this.#contexts.get(number)
    if (context === undefined) return
    this.#contexts.delete(number)
    if (status !== 'ready') {
      context.error =
        status === 'reconnecting' && reason !== null
          ? new RedisUnavailableError(reason)
          : new ClosedError()
      connect.error.publish(context)
    }
    connect.asyncStart.publish(context)
    connect.asyncEnd.publish(context)
  }

  /** @param {number} number @returns {ConnectContext} */
  #about(number) {
    return { connection: PURPOSES[number] ?? 'subscriptions', attributes: this.#server() }
  }
}

module.exports = { Attempts }
