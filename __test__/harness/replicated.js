'use strict'

const { TcpProxy } = require('./proxy.js')
const { RedisServer, freePort } = require('./redis.js')
const { until } = require('./until.js')

/**
 * A master and its replica, which are real; a name before the master that may lead elsewhere (`proxy`),
 * and a line between the two (`line`).
 */
class Replicated {
  static async start() {
    const pair = new Replicated()
    pair.master = await RedisServer.start(['--repl-diskless-sync-delay', '0'])
    pair.redis = pair.master.client()
    pair.line = await TcpProxy.start(pair.master.port)
    pair.replica = await RedisServer.start()
    pair.copy = pair.replica.client()
    pair.proxy = await TcpProxy.start(pair.master.port)
    await pair.replicate()
    return pair
  }

  /** The replica follows the master (again), and has all that it has. */
  async replicate() {
    await this.copy.replicaof('127.0.0.1', this.line.port)
    await until(async () => (await this.redis.info('replication')).includes('state=online'))
    await until(async () => (await this.copy.info('replication')).includes('link_status:up'))
    await this.inSync()
  }

  /** The replica has all that the master has. */
  async inSync() {
    await until(async () => (await offset(this.redis)) === (await offset(this.copy)))
  }

  /** From now on the two have nothing to do with each other: what the master is sent, a failover loses. */
  async part() {
    await this.copy.replicaof('NO', 'ONE')
  }

  /**
   * The name leads to the replica. The old master becomes a replica of nobody, and keeps its connections.
   */
  async moveOn() {
    this.proxy.target = this.replica.port
    await this.redis.replicaof('127.0.0.1', await freePort())
  }

  async stop() {
    this.replica.resume()
    await this.proxy.stop()
    await this.line.stop()
    await this.replica.stop()
    await this.master.stop()
  }
}

async function offset(redis) {
  const info = await redis.info('replication')
  return Number(/(?:slave|master)_repl_offset:(\d+)/.exec(info)[1])
}

module.exports = { Replicated }
