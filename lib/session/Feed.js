'use strict'

const { NativeFeed } = require('../realm/native.js')
const { bound } = require('../realm/context.js')
const { after } = require('../realm/delay.js')
const { read } = require('../document/document.js')
const { ClosedError, RedisUnavailableError } = require('../realm/errors.js')
const { gap, publish } = require('../telemetry/channels.js')
const { outageBegan, outageEnded, outageLeft } = require('../report/outages.js')
const { RedisClient } = require('../client/RedisClient.js')
const { Failure, News, close, listen, open, unlisten } = require('../realm/settle.js')
const { unheard } = require('../report/warnings.js')

/** With more messages that wait for callbacks, or half of `maxFeedBytes`, these are far behind. */
const FAR_BEHIND = 25_000

/**
 * What all instances publish, on its way to the callbacks of one manager.
 *
 * Callbacks run in order and synchronously. One that throws, or whose promise rejects, is
 * reported, and the next one runs. Each gets a state of its own.
 */
class Feed {
  /** How often a subscription that was confirmed was lost and confirmed again. */
  reconnects = 0
  /** How often it had to catch up. */
  gaps = 0
  #client
  #native
  #listener
  #completions = open()
  #options
  #logger
  /** @type {Set<{ callback: Function }>} */
  #updates = new Set()
  /** @type {Set<{ callback: Function }>} */
  #webSocket = new Set()
  /** What the core was told to listen to. */
  #told = { updates: false, webSocket: false }
  /** The number of the latest interest, and of the latest that Redis has confirmed. */
  #wanted = 0
  #confirmed = 0
  /**
   * Who waits for that: called with nothing, or with why it will not come.
   *
   * @type {Set<(error?: Error) => void>}
   */
  #waiting = new Set()
  #interrupted = false
  /** Whether the subscription that is interrupted was confirmed before. */
  #wasConfirmed = false
  /** The server's name, and why there was no connection last. */
  #server
  #reason = ''
  #holding = false
  #ended = false
  #leaveClient

  /**
   * @param {InstanceType<typeof RedisClient>} client
   * @param {{ keyPrefix: string, updatesChannel: string, wsChannelPrefix: string, allPrefixes: boolean, maxFeedBytes: number, logger: Required<import('../../config/logger.js').Logger> }} options
   */
  constructor(client, options) {
    this.#client = client
    this.#options = options
    this.#logger = options.logger
    this.#listener = listen(this)
    const native = RedisClient.native(client)
    this.#server = native.server
    this.#native = new NativeFeed(
      this.#completions,
      native,
      this.#listener,
      options.keyPrefix,
      options.updatesChannel,
      options.wsChannelPrefix,
      options.allPrefixes,
      options.maxFeedBytes,
    )
    this.#leaveClient = RedisClient.dependOn(client, {
      hears: () => this.#logger !== unheard,
      ended: () => this.#end(),
    })
  }

  /** @param {Function} callback @returns {() => void} what unsubscribes it */
  onUpdate(callback) {
    return this.#subscribe(this.#updates, callback)
  }

  /** @param {Function} callback @returns {() => void} what unsubscribes it */
  onWebSocket(callback) {
    return this.#subscribe(this.#webSocket, callback)
  }

  /** @param {Set<{ callback: Function }>} subscriptions @param {Function} callback */
  #subscribe(subscriptions, callback) {
    if (this.#ended) throw new ClosedError()
    const subscription = { callback: bound(callback) } // One callback may be subscribed twice.
    subscriptions.add(subscription)
    this.#listen()
    return () => {
      subscriptions.delete(subscription)
      this.#listen()
    }
  }

  /**
   * Resolves when Redis has confirmed all that is listened to.
   *
   * @param {number} timeoutMs
   * @returns {Promise<void>}
   */
  confirmed(timeoutMs) {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(new ClosedError())
      if (this.#confirmed === this.#wanted) return resolve()
      const waiting = (/** @type {Error | undefined} */ error) => {
        cancel()
        if (error) reject(error)
        else resolve()
      }
      const late = () => {
        this.#waiting.delete(waiting)
        const why = this.#reason === '' ? '' : ` (${this.#reason})`
        const late = `${this.#server}: the subscription was not confirmed in time${why}`
        waiting(new RedisUnavailableError(late))
      }
      // The process stays alive meanwhile, as with every pending call.
      const cancel = after(timeoutMs, late, { keepsAlive: true })
      this.#waiting.add(waiting)
    })
  }

  /** The messages that wait for the callbacks, and their bytes. */
  get behind() {
    return { messages: this.#native.behind, bytes: this.#native.behindBytes }
  }

  /**
   * Why callbacks hear late of what was published; null unless they are far behind.
   *
   * @returns {string | null}
   */
  get delay() {
    const { messages, bytes } = this.behind
    if (messages <= FAR_BEHIND && bytes <= this.#options.maxFeedBytes / 2) return null
    return `${this.#server}: ${messages} messages (${bytes} bytes) wait for callbacks`
  }

  /**
   * Why callbacks are not told what is published now.
   *
   * @param {number} limitMs how long the confirmation of a subscription may take
   * @returns {Promise<string[]>}
   */
  async troubles(limitMs) {
    /** @type {string[]} */
    const found = []
    await this.confirmed(limitMs).catch((error) => void found.push(error.message))
    return found
  }

  #listen() {
    if (this.#ended) return
    const updates = this.#updates.size > 0
    const webSocket = this.#webSocket.size > 0
    if (updates === this.#told.updates && webSocket === this.#told.webSocket) return
    this.#told = { updates, webSocket }
    this.#native.listenTo(updates, webSocket, ++this.#wanted)
    this.#hold(updates || webSocket)
  }

  /** Listens to nothing any more, on a client that others go on using. */
  end() {
    if (this.#ended) return
    this.#native.listenTo(false, false, ++this.#wanted)
    this.#leaveClient()
    this.#end()
  }

  /** A subscription keeps the process alive. @param {boolean} holding */
  #hold(holding) {
    if (holding === this.#holding) return
    this.#holding = holding
    if (holding) this.#completions.hold()
    else this.#completions.release()
  }

  /** @param {Error} [error] */
  #tellWaiting(error) {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const tell of waiting) tell(error)
  }

  #end() {
    this.#ended = true
    outageLeft('REDIS', this.#server, this)
    this.#hold(false)
    unlisten(this.#listener)
    close()
    this.#tellWaiting(new ClosedError())
  }

  /**
   * @param {number} kind
   * @param {number} number
   * @param {string | null} text
   * @param {string | null} more
   */
  news(kind, number, text, more) {
    switch (kind) {
      case News.UPDATE:
        this.#update(/** @type {string} */ (text), more, number)
        break
      case News.WEB_SOCKET:
        this.#message(/** @type {string} */ (text), /** @type {string} */ (more))
        break
      case News.CONFIRMED:
        if (this.#interrupted) this.#regained()
        this.#interrupted = false
        this.#wasConfirmed = true
        this.#reason = ''
        this.#confirmed = number
        if (number === this.#wanted) this.#tellWaiting()
        break
      case News.GAP: {
        const missed = JSON.parse(/** @type {string} */ (text))
        this.gaps++
        publish(gap, () => ({ ...missed, attributes: RedisClient.attributes(this.#client) }))
        this.#logger.warn(
          { gap: missed },
          'the subscription was interrupted; sessions that changed meanwhile were passed on',
        )
        break
      }
      case News.MALFORMED:
        this.#malformed(/** @type {string} */ (text))
        break
      case News.LOST:
        this.#lost(/** @type {string} */ (text))
        this.#interrupted = true
        this.#reason = /** @type {string} */ (text)
        this.#confirmed = 0
        break
    }
  }

  /** Told once an outage, not at every attempt. @param {string} reason */
  #lost(reason) {
    if (!this.#interrupted) this.#logger.warn({ reason }, 'the subscription is interrupted')
    else if (this.#logger === unheard && this.#client.listenerCount('error') === 0) {
      const message = `The subscription is interrupted: ${reason}; reconnecting`
      outageBegan('REDIS', this.#server, this, message)
    }
  }

  #regained() {
    if (this.#wasConfirmed) this.reconnects++
    this.#logger.info({}, 'the subscription is confirmed again')
    outageEnded('REDIS', this.#server, this, `Redis is available again: ${this.#server}`)
  }

  /**
   * @param {string} about the session id; for all key prefixes the core tells `[id, prefix]`
   * @param {string | null} document
   * @param {number} dates
   */
  #update(about, document, dates) {
    const { allPrefixes, updatesChannel } = this.#options
    const [sessionId, ...prefix] = allPrefixes ? JSON.parse(about) : [about]
    const make = () => (document === null ? null : read(document, dates, sessionId))
    this.#callBack(this.#updates, updatesChannel, sessionId, make, prefix)
  }

  /** @param {string} sessionId @param {string} json */
  #message(sessionId, json) {
    const channel = this.#options.wsChannelPrefix + sessionId
    this.#callBack(this.#webSocket, channel, sessionId, () => JSON.parse(json))
  }

  /**
   * @param {Set<{ callback: Function }>} subscriptions
   * @param {string} channel
   * @param {string} sessionId
   * @param {() => unknown} make an argument for each callback, as none may change another's
   * @param {unknown[]} [more] arguments
   */
  #callBack(subscriptions, channel, sessionId, make, more = []) {
    // Those that subscribe meanwhile begin with the next message; those that unsubscribe, and
    // those that others unsubscribe, are not called any more.
    for (const subscription of [...subscriptions]) {
      if (!subscriptions.has(subscription)) continue
      const argument = make()
      if (argument instanceof Failure) return this.#malformed(channel, sessionId)
      this.#run(subscription.callback, sessionId, [argument, ...more])
    }
  }

  /** @param {Function} callback @param {string} sessionId @param {unknown[]} more */
  #run(callback, sessionId, more) {
    const report = (/** @type {unknown} */ err) =>
      this.#logger.error({ err, sessionId }, 'a subscription callback failed')
    try {
      const returned = callback(sessionId, ...more)
      if (typeof returned?.then === 'function') returned.then(undefined, report)
    } catch (err) {
      report(err)
    }
  }

  /** @param {string} channel @param {string} [sessionId] */
  #malformed(channel, sessionId) {
    this.#logger.warn({ channel, sessionId }, 'a malformed message was skipped')
  }
}

module.exports = { Feed }
