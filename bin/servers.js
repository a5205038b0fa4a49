'use strict'

// The servers that a command uses: opened when they are first needed, closed when it ends.

const { DBWriteQueue, RedisStateManager, createRedisClient } = require('../index.js')
const { CommandError, UsageError } = require('./outcome.js')

/** Hears nothing: a command tells by its own outcome what does not work. */
const SILENT = Object.freeze({ info() {}, warn() {}, error() {} })

class Servers {
  #settings
  /** @type {import('../index.js').RedisClient | undefined} */
  #client
  /** @type {DBWriteQueue | undefined} */
  #queue
  /** @type {RedisStateManager<any> | undefined} */
  #manager
  /** @type {RedisStateManager<any> | undefined} */
  #unaudited

  /** @param {import('./command.js').Settings} settings */
  constructor(settings) {
    this.#settings = settings
  }

  get client() {
    const { redis, timeoutMs, ca } = this.#settings
    if (this.#client) return this.#client
    const client = valid(() => createRedisClient(redis, { commandTimeoutMs: timeoutMs }))
    this.#client = ca === undefined ? client : client.duplicate({ tls: { ca } })
    if (client !== this.#client) client.disconnect()
    // Who listens is not warned: the call that fails says why.
    this.#client.on('error', () => {})
    return this.#client
  }

  /** The address of Redis, for people: without users and passwords. */
  get redisAddress() {
    const { host, port, path, sentinels, name, nodes } = this.client.options
    const list = (/** @type {{ host: string, port: number }[]} */ some) =>
      some.map((one) => `${one.host}:${one.port}`).join(',')
    if (sentinels) return `${name} of the sentinels ${list(sentinels)}`
    if (nodes) return list(nodes)
    return path ?? `${host}:${port}`
  }

  /** The audit's queue. This process stores no records. */
  get queue() {
    const { queueName, database, timeoutMs } = this.#settings
    this.#queue ??= valid(() => {
      return new DBWriteQueue(this.client, {
        queueName,
        worker: false,
        commandTimeoutMs: timeoutMs,
        logger: SILENT,
        ...(database === undefined ? {} : { databaseUrl: database }),
      })
    })
    return this.#queue
  }

  get hasDatabase() {
    return this.#settings.database !== undefined
  }

  /** The queue, if it can read a database. */
  get audit() {
    this.needDatabase()
    return this.queue
  }

  /** For a command that is of no use without one. */
  needDatabase() {
    if (this.hasDatabase) return
    throw new UsageError('no database: pass --database <url>, or set DATABASE_URL')
  }

  /** A manager whose changes the queue audits. */
  get manager() {
    return this.managerWith(SILENT)
  }

  /** @param {import('../index.js').Logger} logger hears of lost connections and of gaps */
  managerWith(logger) {
    const { keyPrefix, timeoutMs } = this.#settings
    this.#manager ??= valid(
      () =>
        new RedisStateManager(this.client, this.client, this.queue, {
          keyPrefix,
          commandTimeoutMs: timeoutMs,
          logger,
        }),
    )
    return this.#manager
  }

  /**
   * A manager without an audit.
   *
   * @param {import('../index.js').RedisStateManagerOptions} options
   */
  unaudited(options) {
    const { timeoutMs } = this.#settings
    this.#unaudited ??= new RedisStateManager(this.client, this.client, null, {
      commandTimeoutMs: timeoutMs,
      logger: SILENT,
      ...options,
    })
    return this.#unaudited
  }

  /**
   * The answer of the database, if it comes in time. The module's own limits are those of a service.
   *
   * @template T
   * @param {Promise<T>} answer
   * @returns {Promise<T>}
   */
  inTime(answer) {
    const { timeoutMs } = this.#settings
    /** @type {NodeJS.Timeout | undefined} */
    let timer
    const late = new Promise((_resolve, reject) => {
      const error = new CommandError(`the database did not answer within ${timeoutMs / 1000} s`)
      timer = setTimeout(reject, timeoutMs, error)
    })
    return /** @type {Promise<T>} */ (Promise.race([answer, late])).finally(() =>
      clearTimeout(timer),
    )
  }

  async close() {
    await Promise.all([this.#manager?.close(), this.#unaudited?.close(), this.#queue?.close(true)])
    this.#client?.disconnect()
  }
}

/**
 * What the module says of a URL or an option is about the usage of this program.
 *
 * @template T
 * @param {() => T} make
 */
function valid(make) {
  try {
    return make()
  } catch (error) {
    throw new UsageError(/** @type {Error} */ (error).message)
  }
}

module.exports = { Servers }
