'use strict'

const { connectionsTo, sumOf } = require('./connections.js')
const { MasterWatch } = require('./master-watch.js')

/** Servers of which one is the master, for the load: those of a `SentinelGroup`, or one alone. */
class OneMaster {
  #servers
  #sentinels
  #master

  /** @param {{ url: string, servers: RedisServer[], sentinels?: RedisServer[], master(): Promise<RedisServer> }} group */
  constructor(group) {
    this.url = group.url
    this.#servers = group.servers
    this.#sentinels = group.sentinels ?? []
    this.#master = () => group.master()
  }

  watch() {
    return new MasterWatch({ master: this.#master })
  }

  /** What is stored of these sessions, as text. */
  async stored(ids) {
    const client = (await this.#master()).client()
    const texts = await client.mget(ids.map((id) => `session:${id}`))
    client.disconnect()
    return texts
  }

  /**
   * The connections of this module: what stays the same, and what may become fewer. Sentinels that were
   * all away are listened to again when they are asked the next time.
   */
  async connections() {
    const { port } = await this.#master()
    const open = await connectionsTo(this.#servers)
    const toSentinels = sumOf(await connectionsTo(this.#sentinels))
    const all = sumOf(open)
    return { same: { all, toMaster: open.get(port) }, atMost: { all, toSentinels } }
  }
}

module.exports = { OneMaster }
