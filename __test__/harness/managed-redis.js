'use strict'

const { ManagedServer } = require('./managed.js')
const { Managers } = require('./managers.js')
const { RedisServer } = require('./redis.js')

/** What a test file about managed servers needs: a Redis, proxies that stand for such servers, and managers. */
class ManagedRedis {
  managers = new Managers()
  #proxies = []

  /** To be called where a test file begins. @param {string[]} [args] of the Redis */
  static use(args) {
    const managed = new ManagedRedis()
    beforeAll(async () => {
      managed.server = await RedisServer.start(args)
      managed.redis = managed.server.client()
    })
    afterAll(() => managed.server?.stop())
    afterEach(async () => {
      await managed.managers.close()
      await Promise.all(managed.#proxies.splice(0).map((proxy) => proxy.stop()))
      await managed.redis.flushall()
    })
    return managed
  }

  /** A managed server until the test has ended; behind it is the Redis, or `target`. */
  async start(options, target = this.server.port) {
    return this.keep(await ManagedServer.start(target, options))
  }

  /** Stops this proxy, too, after the test. */
  keep(proxy) {
    this.#proxies.push(proxy)
    return proxy
  }
}

module.exports = { ManagedRedis }
