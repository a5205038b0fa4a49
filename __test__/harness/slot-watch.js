'use strict'

const { sleep } = require('./until.js')

/** How long a node may take for an answer. One that takes longer is away. */
const ANSWER_MS = 100
/** How often each slot is looked at. */
const PAUSE_MS = 15

/**
 * Looks all the time whether a node writes to each of these slots, as no client under test does: the
 * longest time in which none did for one of them is the servers' own failover.
 *
 * A slot that is on its way is away: a script whose keys are not all there has to wait for the rest.
 */
class SlotWatch {
  #nodes
  #replicas
  #clients = new Map()
  #over = false
  #ended
  /** Whether a replica has become the master of one of them meanwhile. */
  hasChanged = false
  /** The longest time in which one of them was away, in milliseconds. */
  longest = 0

  /**
   * @param {object} cluster
   * @param {ClusterNode[]} cluster.nodes all, whose array may change
   * @param {ClusterNode[]} cluster.replicas those of them that are replicas now
   * @param {Map<string, ClusterNode>} cluster.owners by the hash tag of the slot
   */
  constructor({ nodes, replicas, owners }) {
    this.#nodes = nodes
    this.#replicas = new Set(replicas)
    this.#ended = Promise.all([...owners].map(([tag, owner]) => this.#look(tag, owner)))
  }

  async #look(tag, owner) {
    let asked = owner
    let last = performance.now()
    while (!this.#over) {
      const error = await this.#write(asked, tag)
      const now = performance.now()
      if (error === undefined) {
        this.longest = Math.max(this.longest, now - last)
        last = now
        this.hasChanged ||= this.#replicas.has(asked)
      } else {
        asked = this.#next(error)
      }
      await sleep(PAUSE_MS)
    }
    this.longest = Math.max(this.longest, performance.now() - last)
  }

  /** Who is asked after this answer: the node that it names, else anyone. */
  #next({ message }) {
    const working = this.#nodes.filter(({ works }) => works)
    const [, port] = /^MOVED \d+ \S+:(\d+)/.exec(message) ?? []
    const named = working.find((node) => node.port === Number(port))
    return named ?? working[Math.trunc(Math.random() * working.length)]
  }

  /** A write that changes nothing. The error, if it is refused or there is no answer. */
  async #write(node, tag) {
    try {
      await this.#clientOf(node).del(`watched:${tag}`)
    } catch (error) {
      return error
    }
  }

  #clientOf(node) {
    const known = this.#clients.get(node)
    if (known) return known
    const client = node.client({
      commandTimeout: ANSWER_MS,
      enableOfflineQueue: false,
      enableReadyCheck: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => 10,
    })
    this.#clients.set(node, client)
    return client
  }

  async stop() {
    this.#over = true
    await this.#ended
    for (const client of this.#clients.values()) client.disconnect()
  }
}

module.exports = { SlotWatch }
