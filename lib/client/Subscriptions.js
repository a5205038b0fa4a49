'use strict'

const { Buffer } = require('node:buffer')
const { NativeSubscription } = require('../realm/native.js')
const { after } = require('../realm/delay.js')
const { ClosedError, RedisUnavailableError } = require('../realm/errors.js')
const { News, close, listen, open, unlisten } = require('../realm/settle.js')

/** @typedef {{ number: number, resolve(): void, reject(error: Error): void, cancel(): void }} Waiting */

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
  /** @type {Set<Waiting>} */
  #waiting = new Set()
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
    return this.#change(() => add(this.#channels, names))
  }

  /** @param {unknown[]} names */
  psubscribe(names) {
    return this.#change(() => add(this.#patterns, names))
  }

  /** From all, where none is named. @param {unknown[]} names */
  unsubscribe(names) {
    return this.#change(() => remove(this.#channels, names))
  }

  /** From all, where none is named. @param {unknown[]} names */
  punsubscribe(names) {
    return this.#change(() => remove(this.#patterns, names))
  }

  /** The client has ended. */
  end() {
    this.#isEnded = true
    for (const { cancel, reject } of this.#waiting) {
      cancel()
      reject(new ClosedError())
    }
    this.#waiting.clear()
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
    else if (kind === News.MESSAGE)
      this.#message(payload, JSON.parse(/** @type {string} */ (about)))
  }

  /**
   * Changes what is listened to. Resolves to how many channels and patterns that are, once Redis has
   * confirmed them.
   *
   * @param {() => void} change
   * @returns {Promise<number>}
   */
  async #change(change) {
    if (this.#isEnded) throw new ClosedError()
    change()
    const count = this.#channels.size + this.#patterns.size
    // As with an open socket, the process stays alive while there is something to hear.
    if (count > 0 !== this.#isHolding) {
      this.#isHolding = count > 0
      if (this.#isHolding) this.#completions.hold()
      else this.#completions.release()
    }
    const topics = { channels: [...this.#channels], patterns: [...this.#patterns] }
    const number = ++this.#wanted
    this.#native.listenTo(JSON.stringify(topics), number)
    await this.#confirmation(number)
    return count
  }

  /** @param {number} number @returns {Promise<void>} */
  #confirmation(number) {
    return new Promise((resolve, reject) => {
      const late = () => {
        this.#waiting.delete(waiting)
        const reason = `${this.#server}: the subscription was not confirmed in time; it will be later`
        reject(new RedisUnavailableError(reason))
      }
      const cancel = after(this.#timeoutMs, late, { keepsAlive: true })
      const waiting = { number, resolve, reject, cancel }
      this.#waiting.add(waiting)
    })
  }

  /** @param {number} number */
  #confirmed(number) {
    for (const waiting of this.#waiting) {
      if (waiting.number > number) continue
      this.#waiting.delete(waiting)
      waiting.cancel()
      waiting.resolve()
    }
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

/** @param {Set<string>} to @param {unknown[]} names */
function add(to, names) {
  for (const name of names) to.add(String(name))
}

/** @param {Set<string>} from @param {unknown[]} names */
function remove(from, names) {
  if (names.length === 0) from.clear()
  for (const name of names) from.delete(String(name))
}

module.exports = { Subscriptions }
