'use strict'

const { isDeepStrictEqual } = require('node:util')
const { after } = require('../realm/delay.js')
const { InvalidStateError } = require('../realm/errors.js')
const { RedisClient } = require('./RedisClient.js')

/** How long an instance may take to say goodbye, ms. */
const GOODBYE = 1000

/** Of a socket's settings: what we read, */
const TLS_READ = ['ca', 'cert', 'key', 'rejectUnauthorized']
/** and what is no matter of who is spoken to, or is read elsewhere. */
const SOCKET_IGNORED = ['host', 'port', 'path', 'tls', 'family', 'autoSelectFamily']
SOCKET_IGNORED.push('connectTimeout', 'socketTimeout', 'timeout', 'reconnectStrategy')
SOCKET_IGNORED.push('keepAlive', 'keepAliveInitialDelay', 'noDelay')

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

/** @param {any} instance */
function ofIoredis(instance) {
  const { options } = instance
  if (instance.isCluster) refuse('isCluster', 'this module does not speak to clusters')
  if (options?.sentinels) refuse('sentinels', 'this module does not speak to sentinels')
  if (typeof options?.host !== 'string' && typeof options?.path !== 'string') {
    refuse('options', 'they do not say where the server is')
  }
  if (options.Connector) refuse('Connector', 'this module makes its own connections')
  const { host, port, path, username, password, keyPrefix, tls } = options
  return {
    ...where(path, host, port),
    ...credentials(username, password),
    // The owner may have selected another since.
    db: instance.condition?.select ?? options.db ?? 0,
    tls: tls ? tlsOf(tls === true ? {} : tls, host) : undefined,
    keyPrefix: prefixOf(keyPrefix),
  }
}

/** @param {any} instance */
function ofNodeRedis(instance) {
  const { options } = instance
  const single = 'isReady' in instance && typeof options === 'object' && options !== null
  if (!single || options.rootNodes || options.sentinelRootNodes) {
    refuse('rootNodes', 'this module does not speak to clusters, sentinels or pools')
  }
  const { socket = {}, username, password, database, keyPrefix } = options
  if (options.credentialsProvider && !username && !password) {
    refuse('credentialsProvider', 'this module needs the user name and the password themselves')
  }
  const { host = 'localhost', port = 6379, path } = socket
  return {
    ...where(path, host, port),
    ...credentials(username, password),
    db: database ?? 0,
    tls: socket.tls ? tlsOf(socket, host) : undefined,
    keyPrefix: prefixOf(keyPrefix),
  }
}

/** @param {string | undefined} path @param {string} host @param {number | string} port */
function where(path, host, port) {
  return path ? { path } : { host, port: Number(port) }
}

/** @param {unknown} username @param {unknown} password */
function credentials(username, password) {
  const text = (/** @type {unknown} */ value) => (value == null ? undefined : String(value))
  return { username: text(username), password: text(password) }
}

/**
 * @param {any} socket settings of Node's `tls.connect`
 * @param {string} host
 */
function tlsOf(socket, host) {
  /** @type {Record<string, unknown>} */
  const tls = {}
  for (const [name, value] of Object.entries(socket)) {
    if (value == null || SOCKET_IGNORED.includes(name)) continue
    if (TLS_READ.includes(name)) tls[name] = value
    else if (name === 'servername' && value === host) continue
    else if (name === 'minVersion' && value !== 'TLSv1.3')
      continue // Less than 1.2 is never spoken.
    else refuse(`tls.${name}`, 'this module has no such setting')
  }
  return tls
}

/** @param {unknown} keyPrefix */
function prefixOf(keyPrefix = '') {
  if (typeof keyPrefix !== 'string') refuse('keyPrefix', 'it is not a string')
  return /** @type {string} */ (keyPrefix)
}

/** @param {string} setting @param {string} reason @returns {never} */
function refuse(setting, reason) {
  throw new InvalidStateError(`redis.${setting}`, `this client cannot be honoured: ${reason}`)
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
    ? instance.isReady
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
