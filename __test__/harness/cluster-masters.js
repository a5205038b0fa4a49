'use strict'

const { connectionsTo, sumOf } = require('./connections.js')
const { SlotWatch } = require('./slot-watch.js')

/** The servers of a cluster, for the load. */
class ClusterMasters {
  #group

  /** @param {import('./cluster.js').ClusterGroup} group */
  constructor(group) {
    this.#group = group
    this.url = group.url
  }

  /** Looks at the slots in which there are sessions. */
  async watch() {
    const masters = await this.#group.masters()
    const owners = new Map()
    for (const master of masters) {
      for (const key of await keysOn(master)) owners.set(tagOf(key), master)
    }
    const replicas = this.#group.nodes.filter((node) => !masters.includes(node))
    return new SlotWatch({ nodes: this.#group.nodes, owners, replicas })
  }

  /** The slots of a master in which there are sessions. */
  async slotsWithSessions(master) {
    const tags = new Set((await keysOn(master)).map(tagOf))
    const client = master.client()
    const slots = await Promise.all([...tags].map((tag) => client.cluster('KEYSLOT', tag)))
    client.disconnect()
    return slots.sort((a, b) => a - b)
  }

  /** What is stored of these sessions, as text. */
  async stored(ids) {
    const texts = new Map()
    for (const master of await this.#group.masters()) {
      const client = master.client()
      for (const key of await keysOn(master)) {
        texts.set(key.slice(key.indexOf('}:') + 2), await client.get(key))
      }
      client.disconnect()
    }
    return ids.map((id) => texts.get(id))
  }

  /**
   * The connections of this module: what stays the same, and what may become fewer. A worker is connected to
   * those masters that have partitions of its own.
   */
  async connections() {
    const masters = await this.#group.masters()
    const replicas = this.#group.nodes.filter((node) => !masters.includes(node))
    const all = sumOf(await connectionsTo(this.#group.nodes))
    const toReplicas = sumOf(await connectionsTo(replicas))
    const subscribers = sumOf(await connectionsTo(masters, 'PUBSUB'))
    return { same: { subscribers, toReplicas }, atMost: { all } }
  }
}

/** The keys of the sessions that a node has. */
async function keysOn(node) {
  const client = node.client()
  const keys = await client.keys('session:{*}:*')
  client.disconnect()
  return keys
}

const tagOf = (key) => key.slice(key.indexOf('{'), key.indexOf('}') + 1)

module.exports = { ClusterMasters }
