'use strict'

const { randomUUID } = require('node:crypto')
const { SentinelGroup } = require('./sentinel.js')
const { ClusterGroup } = require('./cluster.js')
const { ManagedServer } = require('./managed.js')
const { Managers } = require('./managers.js')
const { RedisServer } = require('./redis.js')

/** Redis: a server of the test file's own. */
class RedisEngine {
  #server
  #redis

  async start() {
    this.#server = await RedisServer.start()
    this.#redis = this.#server.client()
  }

  get url() {
    return this.#server.url
  }

  /** Forgets everything that is stored. */
  async forget() {
    await this.#redis.flushall()
  }

  stop() {
    return this.#server.stop()
  }
}

/** Redis behind a proxy that refuses what managed servers refuse. */
class ManagedRedisEngine {
  #redis = new RedisEngine()
  #proxy

  async start() {
    await this.#redis.start()
    const { port } = new URL(this.#redis.url)
    this.#proxy = await ManagedServer.start(Number(port), {
      refuses: ['HELLO', 'CLIENT', 'CONFIG'],
    })
  }

  get url() {
    return this.#proxy.url
  }

  forget() {
    return this.#redis.forget()
  }

  async stop() {
    await this.#proxy.stop()
    await this.#redis.stop()
  }
}

/** The master that sentinels name, with two replicas. */
class SentinelRedisEngine {
  #group
  #redis

  async start() {
    this.#group = await SentinelGroup.start()
    this.#redis = (await this.#group.master()).client()
  }

  get url() {
    return this.#group.url
  }

  async forget() {
    await this.#redis.flushall()
  }

  stop() {
    return this.#group.stop()
  }
}

/** A cluster of three masters. */
class ClusterEngine {
  #group

  partitions = 64

  async start() {
    this.#group = await ClusterGroup.start({ replicas: 0 })
  }

  get url() {
    return this.#group.url
  }

  forget() {
    return this.#group.flush()
  }

  stop() {
    return this.#group.stop()
  }
}

/** The engine in this process: a store of the test file's own, which ends with those who use it. */
class MemoryEngine {
  url = `memory://${randomUUID()}`

  async start() {}
  async forget() {}
  async stop() {}
}

/**
 * The managers of a test file on one engine. All see the same sessions until the test ends, which
 * closes them and forgets the sessions.
 */
class Store {
  #engine
  #managers = new Managers()

  constructor(engine) {
    this.#engine = engine
  }

  get url() {
    return this.#engine.url
  }

  /** Into how many partitions the engine divides sessions and records. */
  get partitions() {
    return this.#engine.partitions ?? 1
  }

  /** A manager that is closed after the test. */
  open(options) {
    return this.#managers.open(this.url, options)
  }

  /** Closes this one too, after the test. */
  keep(one) {
    return this.#managers.keep(one)
  }

  /** What other instances hear of updates and deletions from now on, each as its id and state. */
  async listen() {
    const heard = []
    const manager = this.open()
    manager.subscribeToUpdates((id, state) => heard.push([id, state]))
    await manager.subscribed()
    return heard
  }

  /** To be called where a test file begins to use the engine. */
  use() {
    beforeAll(() => this.#engine.start())
    afterAll(() => this.#engine.stop())
    afterEach(async () => {
      await this.#managers.close()
      await this.#engine.forget()
    })
    return this
  }
}

const ENGINES = {
  redis: RedisEngine,
  managed: ManagedRedisEngine,
  sentinel: SentinelRedisEngine,
  cluster: ClusterEngine,
  memory: MemoryEngine,
}

const wanted = process.env.SYNCKAIROS_TEST_ENGINES?.split(',') ?? Object.keys(ENGINES)

/**
 * The engines that a conformance test runs on, for `describe.each`: those that
 * `SYNCKAIROS_TEST_ENGINES` names, else all. A server is started only where its engine is used.
 */
const engines = wanted.map((name) => {
  const Engine = ENGINES[name]
  if (Engine === undefined) throw new Error(`SYNCKAIROS_TEST_ENGINES: there is no engine ${name}`)
  return { engine: name, use: () => new Store(new Engine()).use() }
})

module.exports = { engines }
