'use strict'

const { Buffer } = require('node:buffer')
const { EventEmitter } = require('node:events')
const { NativeClient } = require('../native.js')
const { InvalidStateError, RedisUnavailableError, ClosedError } = require('./errors.js')
const { Call, close, occupy, open, unwrap, vacate } = require('./settle.js')

const DEFAULT_URL = 'redis://localhost:6379'
const DEFAULT_COMMAND_TIMEOUT_MS = 5000

/**
 * One Redis server, connected to when first used, and reconnected to for ever.
 *
 * Events: `connect` and `ready` (connected), `reconnecting` (lost, or could not be made), `error`
 * (why; unlike other emitters' it needs no listener), `end` (closed by its owner).
 */
class RedisClient extends EventEmitter {
  #url
  #commandTimeoutMs
  #slot
  #status = 'wait'
  /** @type {NativeClient} */
  #native
  /** @type {Promise<'OK'> | undefined} */
  #ending
  inFlight = 0

  /**
   * @param {string} [url]
   * @param {{ commandTimeoutMs?: number }} [options]
   */
  constructor(url = process.env.REDIS_URL || DEFAULT_URL, options = {}) {
    super()
    if (typeof url !== 'string') throw new InvalidStateError('url', 'it is not a string')
    this.#url = url
    this.#commandTimeoutMs = options.commandTimeoutMs ?? DEFAULT_COMMAND_TIMEOUT_MS
    checkPositive('commandTimeoutMs', this.#commandTimeoutMs)
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
    const call = new Call(this, (text) => JSON.parse(/** @type {string} */ (text)))
    this.#native.call(call.slot, packed, this.#commandTimeoutMs)
    return unwrap(await call.promise)
  }

  /** Lets what is in flight end (for a second at most), then disconnects for good. */
  quit() {
    this.#end(() => this.#native.quit())
    return /** @type {Promise<'OK'>} */ (this.#ending)
  }

  /** Disconnects for good, at once. */
  disconnect() {
    this.#end(() => this.#native.disconnect())
    this.#native.disconnect()
  }

  /** Another client of the same server. */
  duplicate() {
    return new RedisClient(this.#url, { commandTimeoutMs: this.#commandTimeoutMs })
  }

  /** The core's client, for the classes of this module. @param {RedisClient} client */
  static native(client) {
    return client.#native
  }

  /** @param {() => void} how */
  #end(how) {
    if (this.#ending) return
    const completions = open()
    completions.hold()
    this.#ending = new Promise((resolve) => {
      this.once('end', () => {
        completions.release()
        close()
        resolve('OK')
      })
    })
    how()
  }

  /** @param {string | null} status @param {string | null} reason */
  #moved(status, reason) {
    if (status === null || this.#status === 'end') return
    this.#status = status
    switch (status) {
      case 'ready':
        this.emit('connect')
        this.emit('ready')
        break
      case 'reconnecting':
        if (this.listenerCount('error') > 0) {
          this.emit('error', new RedisUnavailableError(reason ?? 'the connection was lost'))
        }
        this.emit('reconnecting')
        break
      case 'end':
        vacate(this.#slot)
        this.emit('end')
        close()
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

module.exports = { RedisClient, checkPositive, createRedisClient, createRedisPubSubClient }
