'use strict'

const { isDeepStrictEqual } = require('node:util')
const { after } = require('../realm/delay.js')
const { InvalidStateError } = require('../realm/errors.js')
const { ofIoredis } = require('./ioredisInstance.js')
const { ofNodeRedis } = require('./nodeRedisInstance.js')
const { RedisClient } = require('./RedisClient.js')

/** How long an instance may take to say goodbye, ms. */
const GOODBYE = 1000

/** One client for an instance, however many managers are given it. @type {WeakMap<object, AdoptedClient>} */
const adopted = new WeakMap()

const EXPECTED =
  'expected a URL such as redis://localhost:6379 or memory:, `{ host, port }`, or a client of this module, of ioredis or of node-redis'

/** The methods by which an owner ends an instance, for good. */
const ENDINGS = ['quit', 'QUIT', 'disconnect', 'close', 'destroy', 'end']

/**
 * A connection of ours to the server of an instance of ioredis or node-redis. The two end
 * together, whoever ends one. The instance is not used for anything else, so its owner may go on
 * using it; that it gives up on a server, as instances do, is its own affair.
 */
class AdoptedClient extends RedisClient {
  #instance
  #settings
  #isEnding = false
  /** @type {Promise<void> | undefined} */
  #goodbye

  /** @param {any} instance @param {ReturnType<typeof settingsOf>} settings */
  constructor(instance, settings) {
    const { keyPrefix, ...server } = settings
    super(server)
    this.#instance = instance
    this.#settings = settings
    for (const name of ENDINGS) {
      const ending = instance[name]
      if (typeof ending !== 'function') continue
      instance[name] = (/** @type {any[]} */ ...args) => {
        const reconnects = name === 'disconnect' && args[0] === true
        if (!reconnects) this.#end()
        return ending.apply(instance, args)
      }
    }
  }

  get keyPrefix() {
    return this.#settings.keyPrefix
  }

  /** Not where the instance was ended, if it has been connected again; nor for another database. */
  isFor(/** @type {ReturnType<typeof settingsOf>} */ settings) {
    return !this.#isEnding && isDeepStrictEqual(settings, this.#settings)
  }

  async quit() {
    this.#goodbye ??= goodbye(this.#instance)
    await Promise.all([this.#end(), this.#goodbye])
    return /** @type {const} */ ('OK')
  }

  #end() {
    this.#isEnding = true
    return super.quit()
  }
}

/**
 * What makes the client that is meant: it may be one, or a URL, settings, or an instance of another
 * library. What cannot be honoured is refused here, before anything is made.
 *
 * @param {string} name of the argument
 * @param {any} value
 * @returns {() => InstanceType<typeof RedisClient>}
 */
function clientOf(name, value) {
  if (value instanceof RedisClient) return () => value
  if (typeof value === 'string') return () => new RedisClient(value)
  if (typeof value !== 'object' || value === null) throw new InvalidStateError(name, EXPECTED)
  if (RedisClient.isForeign(value)) {
    throw new InvalidStateError(name, 'it was made by another copy of this module, loaded besides')
  }
  if (!isInstance(value)) {
    if (typeof value.queueWrite === 'function') {
      throw new InvalidStateError(
        name,
        'it is a queue: pass it as the third argument of RedisStateManager',
      )
    }
    if (Object.values(value).some((member) => typeof member === 'function')) {
      throw new InvalidStateError(name, EXPECTED)
    }
    return () => new RedisClient(value)
  }
  const settings = settingsOf(value)
  return () => {
    const known = adopted.get(value)
    if (known?.isFor(settings)) return known
    const client = new AdoptedClient(value, settings)
    adopted.set(value, client)
    return client
  }
}

/** Whether the client that is made for this value has no other owner. @param {unknown} value */
function isMadeHere(value) {
  return !(value instanceof RedisClient) && !isInstance(value)
}

/** What comes before every key of a session. @param {unknown} client */
function keyPrefixOf(client) {
  return client instanceof AdoptedClient ? client.keyPrefix : ''
}

/** Settings have no methods. @param {any} value */
function isInstance(value) {
  return typeof value.duplicate === 'function' || typeof value.connect === 'function'
}

/** @param {any} instance */
function settingsOf(instance) {
  return isNodeRedis(instance) ? ofNodeRedis(instance) : ofIoredis(instance)
}

/** @param {any} instance */
function isNodeRedis(instance) {
  return typeof instance.status !== 'string'
}

/**
 * Lets an instance end what it has in flight, for a second at most.
 *
 * @param {any} instance its endings are the ones made above, and bound to it
 */
async function goodbye(instance) {
  const { quit, disconnect, close = quit, destroy } = instance
  // One that has lost its connection would wait for another, to say goodbye there.
  const isReady = isNodeRedis(instance)
    ? (instance.isReady ?? instance.isOpen) // A pool says only the latter.
    : ['connecting', 'connect', 'ready'].includes(instance.status)
  if (isReady && (await isDone(close()))) return
  // One of node-redis 4 that waits for its goodbye cannot be ended.
  if (isReady && isNodeRedis(instance) && !destroy) instance.unref()
  else await isDone(attempt(destroy ?? disconnect))
}

/** Whether it comes to an end in time, however. @param {unknown} promise */
function isDone(promise) {
  return new Promise((resolve) => {
    const cancel = after(GOODBYE, () => resolve(false), { keepsAlive: false })
    const end = () => {
      cancel()
      resolve(true)
    }
    Promise.resolve(promise).then(end, end)
  })
}

/** @param {() => unknown} call */
async function attempt(call) {
  return call()
}

module.exports = { clientOf, isMadeHere, keyPrefixOf }
