'use strict'

const { Buffer } = require('node:buffer')
const { EventEmitter } = require('node:events')
const { NativeClient } = require('../native.js')
const { InvalidStateError, RedisUnavailableError, ClosedError } = require('./errors.js')
const { Call, close, occupy, open, unwrap, vacate } = require('./settle.js')

const DEFAULT_URL = 'redis://localhost:6379'
const DEFAULTS = Object.freeze({ commandTimeoutMs: 5000, maxInFlight: 10_000 })

/** Well below the time for which Redis remembers what was applied (`Entry::TTL_SECONDS`). */
const MAX_COMMAND_TIMEOUT_MS = 600_000

/**
 * Who in this module depends on a client. Not a listener: with many managers on one client, Node
 * would warn of a leak.
 *
 * @typedef {object} Dependent
 * @property {(error: Error) => void} [lost] there is no connection, or none any more
 * @property {() => void} ended the client is closed
 */

/**
 * One Redis server, connected to when first used, and reconnected to for ever.
 *
 * Events: `connect` and `ready` (connected), `reconnecting` (lost, or could not be made), `error`
 * (why; unlike other emitters' it needs no listener), `end` (closed by its owner).
 */
class RedisClient extends EventEmitter {
  #url
  #options
  #slot
  #status = 'wait'
  /** @type {NativeClient} */
  #native
  /** @type {Promise<'OK'> | undefined} */
  #ending
  /** @type {Dependent[]} */
  #dependents = []
  /** How many calls are in flight; `Call` keeps it. */
  #calls = { inFlight: 0 }

  /**
   * @param {string} [url]
   * @param {{ commandTimeoutMs?: number, maxInFlight?: number }} [options]
   */
  constructor(url = process.env.REDIS_URL || DEFAULT_URL, options = {}) {
    super()
    if (typeof url !== 'string') throw new InvalidStateError('url', 'it is not a string')
    this.#url = url
    this.#options = { ...DEFAULTS, ...options }
    checkPositive('commandTimeoutMs', this.#options.commandTimeoutMs, MAX_COMMAND_TIMEOUT_MS)
    checkPositive('maxInFlight', this.#options.maxInFlight)
    const completions = open()
    this.#slot = occupy({ news: (_kind, _number, status, reason) => this.#moved(status, reason) })
    try {
      this.#native = new NativeClient(completions, this.#slot, url)
    } catch (error) {
      vacate(this.#slot)
      close()
      throw new InvalidStateError('url', /** @type {Error} */ (error).message)
    }
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
    const { commandTimeoutMs, maxInFlight } = this.#options
    if (this.#calls.inFlight >= maxInFlight) throw RedisUnavailableError.full(maxInFlight)
    const call = new Call(this.#calls, (text) => JSON.parse(/** @type {string} */ (text)))
    this.#native.call(call.slot, packed, commandTimeoutMs)
    return unwrap(await call.promise)
  }

  /** Lets what is in flight end (for a second at most), then disconnects for good. */
  quit() {
    this.#native.quit()
    return this.#end()
  }

  /** Disconnects for good, at once. */
  disconnect() {
    this.#native.disconnect()
    this.#end()
  }

  /** Another client of the same server. */
  duplicate() {
    return new RedisClient(this.#url, this.#options)
  }

  /** The core's client, for the classes of this module. @param {RedisClient} client */
  static native(client) {
    return client.#native
  }

  /** @param {RedisClient} client @param {Dependent} dependent */
  static dependOn(client, dependent) {
    if (client.#status === 'end') dependent.ended()
    else client.#dependents.push(dependent)
  }

  /** Resolves when the core has let go; until then the process stays alive. */
  #end() {
    this.#ending ??= new Promise((resolve) => {
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
        const error = new RedisUnavailableError(reason ?? 'the connection was lost')
        // Told once an outage, not at every attempt.
        if (before !== 'reconnecting') for (const { lost } of this.#dependents) lost?.(error)
        if (this.listenerCount('error') > 0) this.emit('error', error)
        this.emit('reconnecting')
        break
      }
      case 'end':
        vacate(this.#slot)
        close()
        for (const { ended } of this.#dependents.splice(0)) ended()
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
    if (typeof arg !== 'string' && typeof arg !== 'number' && !(arg instanceof Uint8Array)) {
      throw new InvalidStateError('command', 'an argument is no string, number or buffer')
    }
    const bytes = arg instanceof Uint8Array ? arg : Buffer.from(String(arg))
    const length = Buffer.alloc(4)
    length.writeUInt32LE(bytes.length)
    parts.push(length, bytes)
  }
  return Buffer.concat(parts)
}

/** @param {string} name @param {unknown} value @param {number} [max] */
function checkPositive(name, value, max = 2 ** 31 - 1) {
  if (!Number.isInteger(value) || Number(value) < 1 || Number(value) > max) {
    throw new InvalidStateError(name, `it is not an integer from 1 to ${max}`)
  }
}

/** @param {ConstructorParameters<typeof RedisClient>} args */
const createRedisClient = (...args) => new RedisClient(...args)

/** For subscriptions: a manager keeps a connection of its own for them. @type {typeof createRedisClient} */
const createRedisPubSubClient = createRedisClient

module.exports = {
  MAX_COMMAND_TIMEOUT_MS,
  RedisClient,
  checkPositive,
  createRedisClient,
  createRedisPubSubClient,
}
