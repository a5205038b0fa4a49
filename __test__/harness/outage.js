'use strict'

const { RedisStateManager } = require('../../index.js')
const { TcpProxy } = require('./proxy.js')
const { RedisServer } = require('./redis.js')
const { makeState } = require('./sessions.js')

/**
 * What a test file about outages needs: a server that keeps its data, a proxy before it for each
 * test, and managers that are closed after it.
 */
class Outage {
  #managers = []

  /** To be called where a test file begins. */
  static use() {
    const outage = new Outage()
    beforeAll(async () => {
      outage.server = await RedisServer.start(['--appendonly', 'yes', '--appendfsync', 'always'])
      outage.redis = outage.server.client()
    })
    afterAll(() => outage.server.stop())
    beforeEach(async () => {
      outage.proxy = await TcpProxy.start(outage.server.port)
    })
    afterEach(async () => {
      jest.restoreAllMocks()
      await Promise.all(outage.#managers.splice(0).map((manager) => manager.close()))
      await outage.proxy.stop()
    })
    return outage
  }

  /** A manager that is closed after the test. */
  manage(url, options) {
    const manager = new RedisStateManager(url, undefined, undefined, options)
    this.#managers.push(manager)
    return manager
  }

  /** A manager whose connection through the proxy stands, to a server that knows the scripts. */
  async connected(options, through = this.proxy) {
    const manager = this.manage(through.url, options)
    const state = makeState()
    const { session_id: id } = state
    // One script for each rule.
    await manager.createSession(state)
    await manager.updateSession(id, state)
    await manager.updateSession(id, state, 2)
    await manager.deleteSession(id)
    await manager.createSession(state, { ifAbsent: true })
    return manager
  }

  async stored(id) {
    const text = await this.redis.get(`session:${id}`)
    return text === null ? null : JSON.parse(text)
  }

  /** A session in Redis, made by nobody under test. */
  async given(overrides) {
    const state = makeState(overrides)
    await this.redis.set(`session:${state.session_id}`, JSON.stringify(state))
    return state
  }
}

/** The outcome of a promise, which then is no unhandled rejection. */
function outcomeOf(promise) {
  return promise.then(
    () => 'done',
    (error) => error.name,
  )
}

module.exports = { Outage, outcomeOf }
