'use strict'

const { NativeClient } = require('../realm/native.js')
const { Attempts } = require('../telemetry/Attempts.js')
const { Replies } = require('./replies.js')
const { warnOfLostRecords } = require('../report/memory.js')
const { pack } = require('./requests.js')
const { serverAttributes } = require('../telemetry/server.js')
const { Call, Calls, Failure, News, close, listen, open, unlisten } = require('../realm/settle.js')

/** The numbers of the connections: that of managers and queues, and that of the owner's commands. */
const SHARED = 0
const COMMANDS = 1

/**
 * Who hears of its connections.
 *
 * @typedef {object} Hearer
 * @property {(change: Change) => void} moved one of the connections has another status
 * @property {(key: string | null) => void} invalidated a key that was read has changed; null: all have
 * @property {() => void} ended the last of the connections has ended
 */

/**
 * @typedef {object} Change
 * @property {string} status of the whole
 * @property {boolean} isLost whether a connection is lost
 * @property {string | null} reason why; null where it had nothing to answer, and is replaced. Of a
 *   connection that is there, what its server cannot promise
 * @property {boolean} isUnreachable whether a connection could not be made
 * @property {boolean} isSharedLost whether it is the connection of managers and queues
 * @property {boolean} isSharedAway whether that connection is missed now, and was not before
 * @property {boolean} isSharedBack whether that connection is there again, after it was missed
 */

/**
 * The core's client of one server, whose connections are made when they are first used: one for
 * managers and queues, one for the owner's commands, and those for subscriptions. Or of a store in
 * this process, which has no commands.
 */
class CoreClient {
  #native
  #listener
  #calls
  #timeoutMs
  #hearer
  /** The status of each connection, by its number. */
  #connections
  #isSharedAway = false
  /** Why the connection of managers and queues is missed; null where it is not. @type {string | null} */
  #sharedReason = null
  #wasShared = false
  /** How often that connection was lost and made again. */
  reconnects = 0
  #attempts = new Attempts(() => this.attributes)
  /** @type {import('../../state/tracing.js').ServerAttributes | undefined} */
  #attributes
  /** Whether it holds a store for tests, which looks at the records itself. */
  #isOfTests

  /**
   * @param {object} place as `placeOf` gives it
   * @param {{ commandTimeoutMs: number, maxInFlight: number, maxInFlightBytes: number }} options
   * @param {Hearer} hearer
   */
  constructor(place, options, hearer) {
    const { memory } = /** @type {{ memory?: { adjustable: boolean } }} */ (place)
    this.isMemory = memory !== undefined
    this.#isOfTests = memory?.adjustable === true
    const connections = this.isMemory ? [SHARED] : [SHARED, COMMANDS]
    this.#connections = new Map(connections.map((number) => [number, 'wait']))
    this.#timeoutMs = options.commandTimeoutMs
    this.#hearer = hearer
    const completions = open()
    this.#listener = listen(this)
    try {
      const native = new NativeClient(completions, this.#listener, JSON.stringify(place))
      this.#native = native
      const client = { server: native.server, flush: () => native.flushCommands() }
      this.#calls = new Calls(client, options)
    } catch (error) {
      this.#leave()
      throw error
    }
  }

  /** The core's client. */
  get native() {
    return this.#native
  }

  /** How many of the owner's commands are in flight. */
  get inFlight() {
    return this.#calls.inFlight
  }

  /** Where the server is, and who speaks to it; of a store, its name. */
  get settings() {
    return JSON.parse(this.#native.settings)
  }

  /** The same as traces name it, without credentials. */
  get attributes() {
    this.#attributes ??= serverAttributes(this.settings, this.isMemory)
    return this.#attributes
  }

  /**
   * Sends commands together, as a transaction or not. Resolves to their replies, and why some are
   * missing.
   *
   * @type {import('./Pipeline.js').Send}
   */
  async send(commands, transaction) {
    const packed = pack(commands)
    return this.#answered(packed.length, (slot) => {
      this.#native.call(slot, packed, transaction, this.#timeoutMs)
    })
  }

  /** The same for a `PING` on the connection of managers and queues. */
  ping() {
    return this.#answered(0, (slot) => this.#native.ping(slot, this.#timeoutMs))
  }

  /**
   * Why managers and queues cannot use the server now; null where they can. Besides what is known, the
   * server is asked on their connection: an idle one shows nothing of a server that stands still.
   *
   * @param {number} limitMs how long an answer may take
   */
  async trouble(limitMs) {
    const call = new Call(this.#calls, (reply) => reply)
    this.#native.ping(call.slot, limitMs)
    const outcome = await call.promise
    if (outcome instanceof Failure) return outcome.toError().message
    const refusal = new Replies(outcome).next(false)
    if (refusal instanceof Error) return `${this.#native.server}: ${refusal.message}`
    return this.#sharedReason
  }

  /** Ends when what is in flight has ended, or in a second. */
  quit() {
    this.#lost(this.#native.quit())
  }

  /** Ends at once. */
  disconnect() {
    this.#lost(this.#native.disconnect())
  }

  /** Ends when what is in flight has ended, and is heard of no more. */
  retire() {
    this.#leave()
    this.#native.quit()
  }

  /** @param {number} bytes the size of what is sent @param {(slot: number) => void} send */
  async #answered(bytes, send) {
    const call = this.#calls.call((replies) => replies, undefined, bytes)
    send(call.slot)
    const outcome = await call.promise
    if (!(outcome instanceof Failure)) return { replies: new Replies(outcome), error: undefined }
    const received = /** @type {any} */ (call.parts?.[0]?.[0])
    return { replies: new Replies(received), error: outcome.toError() }
  }

  /**
   * @param {number} kind
   * @param {number} connection
   * @param {any} text
   * @param {string | null} reason
   */
  news(kind, connection, text, reason) {
    if (kind === News.INVALIDATED) return this.#hearer.invalidated(text)
    this.#attempts.moved(connection, this.#connections.get(connection), text, reason)
    if (text === 'end') this.#ended(connection)
    else this.#moved(connection, text, reason)
  }

  /** @param {number} connection @param {string} status @param {string | null} reason */
  #moved(connection, status, reason) {
    const isLost = status === 'reconnecting'
    const isUnreachable = isLost && this.#connections.get(connection) !== 'ready'
    const isShared = connection === SHARED
    const isSharedAway = isShared && isLost && reason !== null && !this.#isSharedAway
    const isSharedBack = isShared && status === 'ready' && this.#isSharedAway
    if (isSharedAway || isSharedBack) this.#isSharedAway = isSharedAway
    if (isShared) this.#sharedMoved(status, isLost ? reason : null)
    this.#connections.set(connection, status)
    this.#hearer.moved({
      status: this.#status(),
      isLost,
      reason,
      isUnreachable,
      isSharedLost: isShared && isLost,
      isSharedAway,
      isSharedBack,
    })
  }

  /** @param {string} status @param {string | null} reason why it is missed */
  #sharedMoved(status, reason) {
    this.#sharedReason = reason
    if (status !== 'ready') return
    if (this.#wasShared && this.#connections.get(SHARED) === 'reconnecting') this.reconnects++
    this.#wasShared = true
  }

  /** `ready` if one connection is, and none is lost. */
  #status() {
    const all = [...this.#connections.values()]
    const shown = ['reconnecting', 'ready', 'connecting'].find((status) => all.includes(status))
    return shown ?? 'wait'
  }

  /** @param {number} connection */
  #ended(connection) {
    this.#connections.delete(connection)
    if (this.#connections.size > 0) return
    this.#leave()
    this.#hearer.ended()
  }

  /** A store in this process has ended with so many audit records: somebody has to hear of it. @param {number} records */
  #lost(records) {
    if (records > 0 && !this.#isOfTests) warnOfLostRecords(this.#native.server, records)
  }

  #leave() {
    unlisten(this.#listener)
    close()
  }
}

module.exports = { CoreClient }
