'use strict'

const { Buffer } = require('node:buffer')
const { NativeSubscription } = require('../realm/native.js')
const { after } = require('../realm/delay.js')
const { ClosedError, RedisReplyError, RedisUnavailableError } = require('../realm/errors.js')
const { News, close, listen, open, unlisten } = require('../realm/settle.js')

/**
 * A change of what is listened to that Redis has neither confirmed nor refused, and its caller.
 *
 * @typedef {object} Change
 * @property {number} number
 * @property {Set<string>} names the channels, or the patterns
 * @property {string[]} added which of them are new
 * @property {boolean} isRemoval
 * @property {() => void} resolve
 * @property {(error: Error) => void} reject
 * @property {() => void} cancel ends the caller's time limit
 */

/** The channels and patterns that a client's owner listens to, on a connection of their own. */
class Subscriptions {
  #native
  #listener
  #completions = open()
  #emitter
  #server
  #timeoutMs
  /** @type {Set<string>} */
  #channels = new Set()
  /** @type {Set<string>} */
  #patterns = new Set()
  /** The number of the latest topics. */
  #wanted = 0
  /** @type {Set<Change>} */
  #changes = new Set()
  #isHolding = false
  #isEnded = false

  /**
   * @param {InstanceType<typeof import('../realm/native.js').NativeClient>} client
   * @param {import('node:events').EventEmitter} emitter gets the events of messages
   * @param {number} timeoutMs
   */
  constructor(client, emitter, timeoutMs) {
    this.#emitter = emitter
    this.#server = client.server
    this.#timeoutMs = timeoutMs
    this.#listener = listen(this)
    this.#native = new NativeSubscription(this.#completions, client, this.#listener)
  }

  /** @param {unknown[]} names */
  subscribe(names) {
    return this.#change(this.#channels, add, names)
  }

  /** @param {unknown[]} names */
  psubscribe(names) {
    return this.#change(this.#patterns, add, names)
  }

  /** From all, where none is named. @param {unknown[]} names */
  unsubscribe(names) {
    return this.#change(this.#channels, remove, names)
  }

  /** From all, where none is named. @param {unknown[]} names */
  punsubscribe(names) {
    return this.#change(this.#patterns, remove, names)
  }

  /** The client has ended. */
  end() {
    this.#isEnded = true
    for (const { isRemoval, cancel, resolve, reject } of this.#changes) {
      cancel()
      // Nothing is heard any more. Who unsubscribes at the end may not look at the promise.
      if (isRemoval) resolve()
      else reject(new ClosedError())
    }
    this.#changes.clear()
    if (this.#isHolding) this.#completions.release()
    unlisten(this.#listener)
    close()
  }

  /**
   * @param {number} kind
   * @param {number} number
   * @param {any} payload
   * @param {string | null} about
   */
  news(kind, number, payload, about) {
    if (kind === News.CONFIRMED) this.#confirmed(number)
    else if (kind === News.REFUSED) this.#refused(number, /** @type {string} */ (about))
    else if (kind === News.MESSAGE)
      this.#message(payload, JSON.parse(/** @type {string} */ (about)))
  }

  /**
   * Changes what is listened to. Resolves to how many channels and patterns that are, once Redis has
   * confirmed them.
   *
   * @param {Set<string>} listened the channels, or the patterns
   * @param {(listened: Set<string>, names: unknown[], unconfirmed: string[]) => string[]} change
   * @param {unknown[]} names
   * @returns {Promise<number>}
   */
  async #change(listened, change, names) {
    if (this.#isEnded) throw new ClosedError()
    const added = change(listened, names, this.#unconfirmed(listened))
    const count = this.#channels.size + this.#patterns.size
    await this.#confirmation(this.#listen(), listened, added, change === remove)
    return count
  }

  /** What was added and may be refused. @param {Set<string>} listened */
  #unconfirmed(listened) {
    return [...this.#changes].flatMap(({ names, added }) => (names === listened ? added : []))
  }

  /** Tells the core what to listen to. Returns the number of that. */
  #listen() {
    const isListening = this.#channels.size + this.#patterns.size > 0
    // As with an open socket, the process stays alive while there is something to hear.
    if (isListening !== this.#isHolding) {
      this.#isHolding = isListening
      if (isListening) this.#completions.hold()
      else this.#completions.release()
    }
    const topics = { channels: [...this.#channels], patterns: [...this.#patterns] }
    this.#native.listenTo(JSON.stringify(topics), ++this.#wanted)
    return this.#wanted
  }

  /**
   * @param {number} number
   * @param {Set<string>} names
   * @param {string[]} added
   * @param {boolean} isRemoval
   * @returns {Promise<void>}
   */
  #confirmation(number, names, added, isRemoval) {
    return new Promise((resolve, reject) => {
      const late = () => {
        const reason = `${this.#server}: the subscription was not confirmed in time; it will be later`
        reject(new RedisUnavailableError(reason))
      }
      const cancel = after(this.#timeoutMs, late, { keepsAlive: true })
      this.#changes.add({ number, names, added, isRemoval, resolve, reject, cancel })
    })
  }

  /** @param {number} number */
  #confirmed(number) {
    for (const { cancel, resolve } of this.#endedBy(number)) {
      cancel()
      resolve()
    }
  }

  /**
   * Redis refuses to add names, and does not say which: all that it was asked for together are taken
   * back, or else the others would not be heard after the next loss.
   *
   * @param {number} number
   * @param {string} reason
   */
  #refused(number, reason) {
    const adding = this.#endedBy(number, ({ added }) => added.length > 0)
    for (const { names, added, cancel, reject } of adding) {
      remove(names, added)
      cancel()
      reject(new RedisReplyError(reason))
    }
    if (adding.length > 0) this.#listen()
  }

  /**
   * Takes out the changes up to this number.
   *
   * @param {number} number
   * @param {(change: Change) => boolean} [isMeant]
   */
  #endedBy(number, isMeant = () => true) {
    const ended = [...this.#changes].filter((one) => one.number <= number && isMeant(one))
    for (const change of ended) this.#changes.delete(change)
    return ended
  }

  /** @param {Buffer} payload @param {[string | null, string]} about */
  #message(payload, [pattern, channel]) {
    const names = pattern === null ? [channel] : [pattern, channel]
    const event = pattern === null ? 'message' : 'pmessage'
    if (this.#emitter.listenerCount(event) > 0) {
      this.#emitter.emit(event, ...names, payload.toString())
    }
    if (this.#emitter.listenerCount(`${event}Buffer`) > 0) {
      // As with ioredis, the pattern is text.
      const before = pattern === null ? [] : [pattern]
      this.#emitter.emit(`${event}Buffer`, ...before, Buffer.from(channel), payload)
    }
  }
}

/**
 * Returns what is not there for certain.
 *
 * @param {Set<string>} to
 * @param {unknown[]} names
 * @param {string[]} unconfirmed
 */
function add(to, names, unconfirmed) {
  const added = names.map(sent).filter((name) => !to.has(name) || unconfirmed.includes(name))
  for (const name of added) to.add(name)
  return added
}

/** Returns nothing, as nothing was added. @param {Set<string>} from @param {unknown[]} names */
function remove(from, names) {
  if (names.length === 0) from.clear()
  for (const name of names) from.delete(sent(name))
  return []
}

/** A name as Redis gets it: what is no character in UTF-8 goes as U+FFFD. @param {unknown} name */
function sent(name) {
  return Buffer.from(String(name)).toString()
}

module.exports = { Subscriptions }
