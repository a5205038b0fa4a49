'use strict'

const { RUN, addCommands, addMethod, takeCallback, withCallback } = require('./commands.js')
const { detached } = require('../realm/context.js')
const { ContextEmitter } = require('../realm/ContextEmitter.js')
const {
  InvalidStateError,
  RedisReplyError,
  RedisUnavailableError,
  ClosedError,
} = require('../realm/errors.js')
const { CoreClient } = require('./CoreClient.js')
const { shown } = require('../report/inspect.js')
const { checkInteger, clientOptions, withDefaults } = require('../settings/options.js')
const { outageBegan, outageEnded, outageLeft } = require('../report/outages.js')
const { Pipeline } = require('./Pipeline.js')
const { shaped } = require('./replies.js')
const { commandOf, strictCommandOf } = require('./requests.js')
const { addScanStreams } = require('./ScanStream.js')
const { Scripts } = require('./Scripts.js')
const { placeOf } = require('./server.js')
const { Subscriptions } = require('./Subscriptions.js')
const { close, open } = require('../realm/settle.js')

/** @typedef {import('./commands.js').Callback} Callback */
/** @typedef {import('./requests.js').Command} Command */

const DEFAULT_URL = 'redis://localhost:6379'

const NO_COMMANDS =
  'memory: keeps sessions and audit records only, and runs no Redis commands: use a client of a Redis server for them'

/** Says of a client that it is one, also to another copy of this module. */
const BRAND = Symbol.for('synckairos-state:client')

/**
 * Who in this module depends on a client. Not a listener: with many managers on one client, Node
 * would warn of a leak.
 *
 * @typedef {object} Dependent
 * @property {() => void} [lost] there is no connection any more
 * @property {(error: Error) => void} [away] there is no connection, and calls or a subscription need one
 * @property {() => void} [back] after `away`, there is a connection again
 * @property {(message: string) => void} [limited] the server cannot promise all that it should
 * @property {() => boolean} [hears] whether it tells somebody of that
 * @property {(key: string | null) => void} [invalidated] a key that was read has changed; null: all have
 * @property {() => void} [ending] the owner has closed the client: no call is accepted any more
 * @property {() => void} [ended] what was in flight has ended
 */

/**
 * One Redis server, connected to when first used, and reconnected to for ever. It has a connection
 * for managers and queues; one for the owner's own commands; and one for the owner's subscriptions.
 * Or a store in this process, for managers and queues alone.
 *
 * The public documentation is in `config/redis.d.ts`.
 */
class RedisClient extends ContextEmitter {
  #server
  #options
  /** The number of the database, where it is another than the server's settings say. */
  #db
  #status = 'wait'
  #core
  /** @type {Promise<'OK'> | undefined} */
  #ending
  /** @type {Dependent[]} */
  #dependents = []
  /** @type {InstanceType<typeof Subscriptions> | undefined} */
  #subscriptions
  #scripts = new Scripts()
  /** Who was given this client and is not closed. @type {Set<object>} */
  #users = new Set()
  /** Whether one of them has asked for its end, which comes when the last one has left. */
  #endsUnused = false

  /**
   * @param {unknown} [server] a URL, or settings
   * @param {{ commandTimeoutMs?: number, maxInFlight?: number, maxInFlightBytes?: number }} [options]
   * @param {number} [db] used instead of the database that the server's settings name
   */
  constructor(server = process.env.REDIS_URL || DEFAULT_URL, options = undefined, db = undefined) {
    super()
    this.#server = server
    this.#options = clientOptions(options)
    this.#db = db
    this.#core = this.#open()
    // Whoever waits for a connection must not wait for ever. Detached, or whoever made the client would
    // be kept alive.
    detached(() => {
      this.on('newListener', (event) => {
        if (event === 'connect' || event === 'ready') this.#connectSoon()
      })
    })
  }

  #open() {
    const place = placeOf(this.#server)
    const settings = 'memory' in place ? place : { ...place, db: this.#db ?? place.db }
    try {
      return new CoreClient(settings, this.#options, {
        moved: (change) => this.#moved(change),
        invalidated: (key) => this.#dependents.forEach((one) => void one.invalidated?.(key)),
        ended: () => this.#ended(),
      })
    } catch (error) {
      const field = typeof this.#server === 'string' ? 'url' : 'redis'
      throw new InvalidStateError(field, /** @type {Error} */ (error).message)
    }
  }

  get [BRAND]() {
    return true
  }

  /**
   * `wait`, `connecting`, `ready`, `reconnecting`, or `end`. Whoever asks gets a connection: a readiness
   * probe that only looks at this would otherwise read `wait` for ever, and let nobody in who uses it.
   */
  get status() {
    this.#connectSoon()
    return this.#status
  }

  /** Where the server is, and this client's options. Passwords are there, and not enumerable. */
  get options() {
    const options = { ...this.#core.settings, ...this.#options }
    for (const name of ['password', 'sentinelPassword']) {
      if (name in options) Object.defineProperty(options, name, { enumerable: false })
    }
    return options
  }

  /** Connects, if there is no connection yet. @param {Callback} [callback] */
  connect(callback) {
    return withCallback(
      this.ping().then(() => {}),
      callback,
    )
  }

  /** Whether Redis answers on the connection that managers and queues use. @param {any[]} args */
  ping(...args) {
    const callback = takeCallback(args)
    if (args.length > 0) return withCallback(this.#run(commandOf('ping', args, false)), callback)
    return withCallback(this.#ping(), callback)
  }

  async #ping() {
    if (this.#ending) throw new ClosedError()
    return result(await this.#core.ping(), commandOf('ping', [], false))
  }

  /** Any command. @param {string} command @param {any[]} args */
  call(command, ...args) {
    const callback = takeCallback(args)
    return withCallback(this.#call(command, args, false), callback)
  }

  /** The same, with buffers in the reply. @param {string} command @param {any[]} args */
  callBuffer(command, ...args) {
    const callback = takeCallback(args)
    return withCallback(this.#call(command, args, true), callback)
  }

  /** @param {string} command @param {any[]} args @param {boolean} asBuffers */
  async #call(command, args, asBuffers) {
    // Awaited, or in Bun the error's stack would end here.
    return await this.#run(strictCommandOf(command, args, asBuffers))
  }

  /** A command's method. @param {string} name @param {any[]} args @param {boolean} asBuffers */
  [/** @type {any} */ (RUN)](name, args, asBuffers) {
    const callback = takeCallback(args)
    return withCallback(this.#runNamed(name, args, asBuffers), callback)
  }

  /** @type {import('./Scripts.js').Run<Promise<any>>} */
  #runNamed = async (name, args, asBuffers) => await this.#run(commandOf(name, args, asBuffers))

  /** @param {Command} command */
  async #run(command) {
    return result(await this.#send([command], false), command)
  }

  /** @type {import('./Pipeline.js').Send} */
  #send = async (commands, transaction) => {
    this.#checkCommands()
    return this.#core.send(commands, transaction)
  }

  /** Whether the owner's commands can be sent. */
  #checkCommands() {
    if (this.#ending) throw new ClosedError()
    if (this.#core.isMemory) throw new InvalidStateError('command', NO_COMMANDS)
  }

  /** Commands that are sent together. @param {any[][]} [commands] */
  pipeline(commands) {
    return this.#pipeline(false, commands)
  }

  /** Commands that are executed together, and all or none. @param {any} [commands] @param {any} [options] */
  multi(commands, options = Array.isArray(commands) ? undefined : commands) {
    if (options?.pipeline === false) {
      const reason = 'commands of a transaction are sent together, by exec(); leave it out'
      throw new InvalidStateError('options.pipeline', reason)
    }
    return this.#pipeline(true, Array.isArray(commands) ? commands : undefined)
  }

  /** @param {boolean} isTransaction @param {any[][]} [commands] */
  #pipeline(isTransaction, commands) {
    const pipeline = new Pipeline(this.#send, isTransaction)
    const run = /** @type {any} */ (pipeline)[RUN].bind(pipeline)
    return this.#scripts.addTo(pipeline, run).addBatch(commands ?? [])
  }

  /**
   * Makes a method of a Lua script.
   *
   * @param {string} name
   * @param {{ lua: string, numberOfKeys?: number }} definition without a number, it is the first argument
   */
  defineCommand(name, definition) {
    this.#scripts.define(name, definition)
    const method =
      (/** @type {boolean} */ asBuffers) =>
      (/** @type {any[]} */ ...args) => {
        const callback = takeCallback(args)
        return withCallback(this.#scripts.run(name, args, asBuffers, this.#runNamed), callback)
      }
    Object.assign(this, { [name]: method(false), [`${name}Buffer`]: method(true) })
  }

  /** @param {any[]} channels */
  subscribe(...channels) {
    return this.#subscribe('subscribe', channels)
  }

  /** @param {any[]} patterns */
  psubscribe(...patterns) {
    return this.#subscribe('psubscribe', patterns)
  }

  /** @param {any[]} channels */
  unsubscribe(...channels) {
    return this.#subscribe('unsubscribe', channels)
  }

  /** @param {any[]} patterns */
  punsubscribe(...patterns) {
    return this.#subscribe('punsubscribe', patterns)
  }

  /** @param {'subscribe' | 'psubscribe' | 'unsubscribe' | 'punsubscribe'} how @param {any[]} args */
  #subscribe(how, args) {
    const callback = takeCallback(args)
    return withCallback(this.#changeSubscriptions(how, args.flat()), callback)
  }

  /** @param {'subscribe' | 'psubscribe' | 'unsubscribe' | 'punsubscribe'} how @param {any[]} names */
  async #changeSubscriptions(how, names) {
    this.#checkCommands()
    if (this.#subscriptions === undefined) {
      const { commandTimeoutMs } = this.#options
      const subscriptions = new Subscriptions(this.#core.native, this, commandTimeoutMs)
      this.#dependents.push({ ended: () => subscriptions.end() })
      this.#subscriptions = subscriptions
    }
    return this.#subscriptions[how](names)
  }

  /**
   * Another database, from the next command on, and for managers that are made after this.
   *
   * @param {number | string} db
   * @param {Callback} [callback]
   */
  select(db, callback) {
    return withCallback(this.#select(Number(db)), callback)
  }

  /** @param {number} db */
  async #select(db) {
    this.#checkCommands()
    checkInteger('db', db, 0, 2 ** 31 - 1)
    if (db !== this.options.db) {
      if (this.#dependents.length > 0) {
        const reason = `a manager, a queue or a subscription uses this client already: make another by duplicate({ db: ${db} })`
        throw new InvalidStateError('db', reason)
      }
      const before = this.#core
      this.#db = db
      this.#core = this.#open()
      this.#status = 'wait'
      before.retire()
    }
    // The connection is greeted with the database: that it answers says that there is such a one.
    await this.#run(commandOf('ping', [], false))
    return 'OK'
  }

  /** Lets what is in flight end (for a second at most), then disconnects for good. @param {Callback} [callback] */
  quit(callback) {
    if (!this.#ending) {
      this.#end()
      this.#core.quit()
    }
    return withCallback(/** @type {Promise<'OK'>} */ (this.#ending), callback)
  }

  /**
   * Disconnects for good, at once.
   *
   * @param {boolean} [reconnect] who asks ioredis for another connection wants to go on
   */
  disconnect(reconnect = false) {
    if (reconnect) return
    this.#core.disconnect()
    this.#end()
  }

  /**
   * Another client of the same server, or with settings and options of its own.
   *
   * @param {Record<string, unknown>} [overrides]
   */
  duplicate(overrides = {}) {
    const { db = this.#db, commandTimeoutMs, maxInFlight, maxInFlightBytes, ...place } = overrides
    if (db !== undefined) checkInteger('db', db, 0, 2 ** 31 - 1)
    const [setting] = Object.keys(db === undefined ? place : { db, ...place })
    if (this.#core.isMemory && setting !== undefined) {
      throw new InvalidStateError(`redis.${setting}`, 'a memory: store has no such setting')
    }
    const server = Object.keys(place).length > 0 ? { ...this.#settings(), ...place } : this.#server
    const given = { commandTimeoutMs, maxInFlight, maxInFlightBytes }
    const options = withDefaults(this.#options, given)
    return new RedisClient(server, options, /** @type {number | undefined} */ (db))
  }

  /** Where the server is, in parts. */
  #settings() {
    const { host, port, path, sentinels, username, password, db, tls } = this.options
    const given = /** @type {any} */ (this.#server)
    const place = path === undefined ? { host, port } : { path }
    const where = sentinels === undefined ? place : this.#sentinels()
    const credentials = { username: username ?? undefined, password: password ?? undefined }
    return { ...where, ...credentials, db, tls: typeof given === 'string' ? tls : given.tls }
  }

  /** Who tells where the server is, in parts. */
  #sentinels() {
    const given = /** @type {any} */ (this.#server)
    const { sentinels, name, sentinelUsername, sentinelPassword, sentinelTLS, natMap } =
      typeof given === 'string' ? this.options : given
    const credentials = {
      sentinelUsername: sentinelUsername ?? undefined,
      sentinelPassword: sentinelPassword ?? undefined,
    }
    const { enableTLSForSentinelMode } = given
    return { sentinels, name, ...credentials, sentinelTLS, enableTLSForSentinelMode, natMap }
  }

  /** @param {import('../report/inspect.js').Inspection} inspection */
  [Symbol.for('nodejs.util.inspect.custom')](...inspection) {
    const { native, inFlight } = this.#core
    const fields = { server: native.server, status: this.#status, inFlight }
    return shown(this, fields, inspection)
  }

  /** Whether it is a client of another copy of this module. @param {any} value */
  static isForeign(value) {
    return value[BRAND] === true && !(value instanceof RedisClient)
  }

  /** Whether it is a client of a store in this process. @param {RedisClient} client */
  static isMemory(client) {
    return client.#core.isMemory
  }

  /**
   * Tells the time, in milliseconds since 1970: `Date.now()`, plus what a test has set the clock of a
   * store ahead.
   *
   * @param {RedisClient} client
   * @returns {() => number}
   */
  static clock(client) {
    const { native } = client.#core
    // `Date` is looked up at each call: a test may replace it.
    if (native.aheadMs === null) return () => Date.now()
    return () => Date.now() + /** @type {number} */ (native.aheadMs)
  }

  /** The core's client, for the classes of this module. @param {RedisClient} client */
  static native(client) {
    return client.#core.native
  }

  /** Where the server is, as traces name it. @param {RedisClient} client */
  static attributes(client) {
    return client.#core.attributes
  }

  /** How often the connection of managers and queues was lost and made again. @param {RedisClient} client */
  static reconnects(client) {
    return client.#core.reconnects
  }

  /**
   * Why managers and queues cannot use the server now; null where they can.
   *
   * @param {RedisClient} client
   * @param {number} limitMs how long an answer may take
   */
  static trouble(client, limitMs) {
    return client.#core.trouble(limitMs)
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

  /** The status, for those who only show it. @param {RedisClient} client */
  static shownStatus(client) {
    return client.#status
  }

  /** @param {RedisClient} client @param {object} user */
  static use(client, user) {
    client.#users.add(user)
  }

  /**
   * Ends a use. A client ends with the last of its users, if one of them has asked for that: so a
   * manager does not end the client under a queue that shares it.
   *
   * @param {RedisClient} client
   * @param {object} user
   * @param {boolean} ends whether this user asks for its end
   * @returns {Promise<'OK'> | undefined} its end; undefined where it goes on
   */
  static leave(client, user, ends) {
    client.#users.delete(user)
    client.#endsUnused ||= ends
    return client.#endsUnused && client.#users.size === 0 ? client.quit() : undefined
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

  #connectSoon() {
    if (this.#status !== 'wait') return
    Promise.resolve().then(() => {
      if (this.#status === 'wait' && !this.#ending) this.ping().catch(() => {})
    })
  }

  /** @param {import('./CoreClient.js').Change} change */
  #moved({ status, isLost, reason, isUnreachable, isSharedLost, isSharedAway, isSharedBack }) {
    const wasReady = this.#status === 'ready'
    this.#status = status
    const { server } = this.#core.native
    if (isLost) {
      if (isSharedLost) for (const { lost } of this.#dependents) lost?.()
      if (reason !== null) this.#missed(reason, isUnreachable, isSharedAway)
      if (wasReady) this.emit('close')
      this.emit('reconnecting')
      return
    }
    if (isSharedBack) for (const { back } of this.#dependents) back?.()
    if (reason !== null)
      for (const { limited } of this.#dependents) limited?.(`${server}: ${reason}`)
    if (status === 'wait') outageLeft('REDIS', server, this)
    if (status === 'ready' && !wasReady) {
      outageEnded('REDIS', server, this, `Redis is available again: ${server}`)
      this.emit('connect')
      this.emit('ready')
    }
  }

  /** @param {string} reason @param {boolean} isUnreachable @param {boolean} isSharedAway */
  #missed(reason, isUnreachable, isSharedAway) {
    const error = new RedisUnavailableError(reason)
    // Told once an outage, not at every attempt.
    if (isSharedAway) for (const { away } of this.#dependents) away?.(error)
    // The first try after a loss may succeed; and who is closing needs no server.
    if (isUnreachable && !this.#ending && !this.#isHeard()) {
      const { server } = this.#core.native
      outageBegan('REDIS', server, this, `${error.message}; reconnecting`)
    }
    if (this.listenerCount('error') > 0) this.emit('error', error)
  }

  #ended() {
    this.#status = 'end'
    outageLeft('REDIS', this.#core.native.server, this)
    for (const { ended } of this.#dependents.splice(0)) ended?.()
    this.emit('close')
    this.emit('end')
  }

  /** Whether anybody is told of an outage. */
  #isHeard() {
    return this.listenerCount('error') > 0 || this.#dependents.some(({ hears }) => hears?.())
  }
}

/**
 * What a single command comes to.
 *
 * @param {Awaited<ReturnType<import('./Pipeline.js').Send>>} outcome
 * @param {Command} command
 */
function result({ replies, error }, { name, asBuffers }) {
  if (error) throw error
  const reply = replies.next(asBuffers)
  if (reply instanceof RedisReplyError) throw reply
  return shaped(name, reply)
}

addCommands(RedisClient.prototype)
addMethod(RedisClient.prototype, 'send_command', RedisClient.prototype.call)
addScanStreams(RedisClient.prototype)

/** @param {ConstructorParameters<typeof RedisClient>} args */
const createRedisClient = (...args) => new RedisClient(...args)

/** For subscriptions: a manager keeps a connection of its own for them. @type {typeof createRedisClient} */
const createRedisPubSubClient = createRedisClient

module.exports = { RedisClient, createRedisClient, createRedisPubSubClient }
