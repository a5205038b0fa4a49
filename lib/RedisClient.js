'use strict'

const { Buffer } = require('node:buffer')
const { types } = require('node:util')
const { NativeClient } = require('./native.js')
const { ContextEmitter } = require('./ContextEmitter.js')
const { InvalidStateError, RedisUnavailableError, ClosedError } = require('./errors.js')
const { clientOptions } = require('./options.js')
const { serverOf } = require('./server.js')
const { Calls, News, close, listen, open, unlisten, unwrap } = require('./settle.js')

const DEFAULT_URL = 'redis://localhost:6379'

/** Says of a client that it is one, also to another copy of this module. */
const BRAND = Symbol.for('synckairos-state:client')

/**
 * Who in this module depends on a client. Not a listener: with many managers on one client, Node
 * would warn of a leak.
 *
 * @typedef {object} Dependent
 * @property {(error: Error) => void} [lost] there is no connection, or none any more
 * @property {(key: string | null) => void} [invalidated] a key that was read has changed; null: all have
 * @property {() => void} [ending] the owner has closed the client: no call is accepted any more
 * @property {() => void} [ended] what was in flight has ended
 */

/**
 * One Redis server, connected to when first used, and reconnected to for ever.
 *
 * Events: `connect` and `ready` (connected), `reconnecting` (lost, or could not be made), `error`
 * (why; unlike other emitters' it needs no listener), `end` (closed by its owner).
 */
class RedisClient extends ContextEmitter {
  #server
  #options
  #listener
  #status = 'wait'
  /** @type {NativeClient} */
  #native
  /** @type {Promise<'OK'> | undefined} */
  #ending
  /** @type {Dependent[]} */
  #dependents = []
  #calls

  /**
   * @param {unknown} [server] a URL, or settings
   * @param {{ commandTimeoutMs?: number, maxInFlight?: number }} [options]
   */
  constructor(server = process.env.REDIS_URL || DEFAULT_URL, options = undefined) {
    super()
    const parts = serverOf(server)
    this.#server = server
    this.#options = clientOptions(options)
    const completions = open()
    this.#listener = listen({
      news: (kind, _number, text, more) => {
        if (kind === News.INVALIDATED) for (const one of this.#dependents) one.invalidated?.(text)
        else this.#moved(text, more)
      },
    })
    try {
      this.#native = new NativeClient(completions, this.#listener, JSON.stringify(parts))
    } catch (error) {
      unlisten(this.#listener)
      close()
      const field = typeof server === 'string' ? 'url' : 'redis'
      throw new InvalidStateError(field, /** @type {Error} */ (error).message)
    }
    this.#calls = new Calls(this.#native, this.#options.maxInFlight)
  }

  get [BRAND]() {
    return true
  }

  /** `wait`, `connecting`, `ready`, `reconnecting`, or `end`. */
  get status() {
    return this.#status
  }

  /** Whether Redis answers. */
  async ping() {
    return this.call('PING')
  }

  /**
   * Any command. Never sent twice: where the answer is lost, the outcome is unknown.
   *
   * @param {string} command
   * @param {...(string | number | Buffer)} args
   */
  async call(command, ...args) {
    const packed = pack([command, ...args])
    if (this.#ending) throw new ClosedError()
    const call = this.#calls.call((text) => JSON.parse(/** @type {string} */ (text)))
    this.#native.call(call.slot, packed, this.#options.commandTimeoutMs)
    return unwrap(await call.promise)
  }

  /** Lets what is in flight end (for a second at most), then disconnects for good. */
  quit() {
    if (this.#ending) return this.#ending
    const ended = this.#end()
    this.#native.quit()
    return ended
  }

  /** Disconnects for good, at once. */
  disconnect() {
    this.#native.disconnect()
    this.#end()
  }

  /** Another client of the same server. */
  duplicate() {
    return new RedisClient(this.#server, this.#options)
  }

  /** Whether it is a client of another copy of this module. @param {any} value */
  static isForeign(value) {
    return value[BRAND] === true && !(value instanceof RedisClient)
  }

  /** The core's client, for the classes of this module. @param {RedisClient} client */
  static native(client) {
    return client.#native
  }

  /**
   * @param {RedisClient} client
   * @param {Dependent} dependent
   * @returns {() => void} what ends that
   */
  static dependOn(client, dependent) {
    if (client.#ending) dependent.ending?.()
    if (client.#status === 'end') dependent.ended?.()
    else client.#dependents.push(dependent)
    return () => {
      client.#dependents = client.#dependents.filter((one) => one !== dependent)
    }
  }

  /** Resolves when the core has let go; until then the process stays alive. */
  #end() {
    if (this.#ending) return this.#ending
    for (const { ending } of this.#dependents) ending?.()
    this.#ending = new Promise((resolve) => {
      const completions = open()
      completions.hold()
      const ended = () => {
        completions.release()
        close()
        resolve('OK')
      }
      this.#dependents.push({ ended })
    })
    return this.#ending
  }

  /** @param {string | null} status @param {string | null} reason */
  #moved(status, reason) {
    if (status === null || this.#status === 'end') return
    const before = this.#status
    this.#status = status
    switch (status) {
      case 'ready':
        this.emit('connect')
        this.emit('ready')
        break
      case 'reconnecting': {
        const error = new RedisUnavailableError(/** @type {string} */ (reason))
        // Told once an outage, not at every attempt.
        if (before !== 'reconnecting') for (const { lost } of this.#dependents) lost?.(error)
        if (this.listenerCount('error') > 0) this.emit('error', error)
        this.emit('reconnecting')
        break
      }
      case 'end':
        unlisten(this.#listener)
        close()
        for (const { ended } of this.#dependents.splice(0)) ended?.()
        this.emit('end')
        break
    }
  }
}

/**
 * The arguments in one buffer: for each its length (u32, little-endian), then its bytes.
 *
 * @param {unknown[]} args
 */
function pack(args) {
  const parts = []
  for (const arg of args) {
    const isBuffer = types.isUint8Array(arg)
    if (typeof arg !== 'string' && typeof arg !== 'number' && !isBuffer) {
      throw new InvalidStateError('command', 'an argument is no string, number or buffer')
    }
    const bytes = isBuffer ? arg : Buffer.from(String(arg))
    const length = Buffer.alloc(4)
    length.writeUInt32LE(bytes.length)
    parts.push(length, bytes)
  }
  return Buffer.concat(parts)
}

/** @param {ConstructorParameters<typeof RedisClient>} args */
const createRedisClient = (...args) => new RedisClient(...args)

/** For subscriptions: a manager keeps a connection of its own for them. @type {typeof createRedisClient} */
const createRedisPubSubClient = createRedisClient

module.exports = { RedisClient, createRedisClient, createRedisPubSubClient }
