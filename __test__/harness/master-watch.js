'use strict'

const { sleep } = require('./until.js')

/** How long a master may take for an answer. One that takes longer is away. */
const ANSWER_MS = 100

/**
 * Looks all the time whether the server that is named the master answers as one, as no client under
 * test does: the longest time in which none did is the servers' own failover.
 */
class MasterWatch {
  #servers
  #clients = new Map()
  #over = false
  #ended
  #named
  /** Whether another master was named meanwhile. */
  hasChanged = false
  #last = performance.now()
  /** The longest time without a master, in milliseconds. */
  longest = 0

  /** @param {{ servers: RedisServer[], master(): Promise<RedisServer> }} servers */
  constructor(servers) {
    this.#servers = servers
    this.#ended = this.#look()
  }

  async #look() {
    while (!this.#over) {
      if (await this.#answers()) {
        const now = performance.now()
        this.longest = Math.max(this.longest, now - this.#last)
        this.#last = now
      }
      await sleep(5)
    }
  }

  async #answers() {
    try {
      // While nobody names one, it is the last that was named.
      const before = this.#named
      this.#named = await this.#servers.master().catch(() => before)
      this.hasChanged ||= before !== undefined && before !== this.#named
      const [role] = await this.#clientOf(this.#named).call('ROLE')
      return role === 'master'
    } catch {
      return false // Its connection is lost, or it is slow.
    }
  }

  #clientOf(server) {
    const known = this.#clients.get(server)
    if (known) return known
    const impatient = {
      commandTimeout: ANSWER_MS,
      enableOfflineQueue: false,
      enableReadyCheck: false, // It waits a second for a server that loads.
      maxRetriesPerRequest: 0,
      retryStrategy: () => 10,
    }
    const client = server.client(impatient)
    this.#clients.set(server, client)
    return client
  }

  async stop() {
    this.#over = true
    await this.#ended
    for (const client of this.#clients.values()) client.disconnect()
  }
}

module.exports = { MasterWatch }
