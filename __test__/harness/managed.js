'use strict'

const net = require('node:net')
const { Frames, kindOf } = require('./replies.js')
const { Requests, requestOf } = require('./requests.js')

const MESSAGES = ['message', 'pmessage', 'invalidate']
const SUBSCRIBES = /^P?(UN)?SUBSCRIBE$/

/**
 * What managed servers and proxies do to those who use them: they refuse commands, and cut
 * connections that are idle or old. Behind it is a real Redis on this machine.
 */
class ManagedServer {
  #server
  /** @type {Set<Connection>} */
  #connections = new Set()
  #options
  /** The port of the server that new connections lead to. */
  target
  /** How many connections were made so far. */
  accepted = 0
  /** The requests that were refused, as texts. @type {string[]} */
  refused = []

  /**
   * @param {number} target the server's port
   * @param {{ refuses?: string[], error?: (name: string) => string, idleMs?: number, ageMs?: number }} [options]
   *   `refuses`: commands, such as `HELLO`, and subcommands, such as `CLIENT|KILL`. By default no
   *   connection is cut.
   */
  static async start(target, options = {}) {
    const managed = new ManagedServer()
    managed.target = target
    managed.#options = {
      refuses: [],
      error: (name) => `ERR unknown command '${name}', with args beginning with: `,
      ...options,
    }
    managed.#server = net.createServer((near) => managed.#accept(near))
    await new Promise((resolve) => managed.#server.listen(0, '127.0.0.1', resolve))
    managed.port = managed.#server.address().port
    managed.url = `redis://127.0.0.1:${managed.port}`
    return managed
  }

  /** Cuts all connections of this moment. */
  cut() {
    for (const connection of this.#connections) connection.cut()
  }

  /** How many connections there are. */
  get connected() {
    return this.#connections.size
  }

  async stop() {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.cut()
    await closed
  }

  #accept(near) {
    this.accepted++
    const { idleMs, ageMs } = this.#options
    const far = net.connect(this.target, '127.0.0.1')
    const connection = new Connection(near, far, { idleMs, ageMs }, (words) => this.#refusal(words))
    this.#connections.add(connection)
    near.once('close', () => this.#connections.delete(connection))
  }

  /** The error for a request; undefined if it is allowed. @param {Buffer[]} words */
  #refusal(words) {
    const [name, sub] = words.map((word) => word.toString('latin1').toUpperCase())
    const { refuses, error } = this.#options
    const refused = [name, `${name}|${sub}`].find((one) => refuses.includes(one))
    if (refused === undefined) return undefined
    this.refused.push(words.map(String).join(' '))
    return error(refused)
  }
}

/** A connection through the proxy. Answers come in the order of the requests. */
class Connection {
  #near
  #far
  /** How many frames each request is still answered with, or the error that answers it. @type {(number | string)[]} */
  #owed = []
  #listens = false
  #timers = []

  constructor(near, far, { idleMs, ageMs }, refusal) {
    this.#near = near
    this.#far = far
    const [requests, frames] = [new Requests(), new Frames()]
    for (const [one, other] of [
      [near, far],
      [far, near],
    ]) {
      one.setNoDelay(true)
      one.on('error', () => {})
      one.once('close', () => other.destroy())
    }
    near.once('close', () => this.#timers.forEach(clearTimeout))
    const idle = idleMs === undefined ? undefined : setTimeout(() => this.cut(), idleMs)
    if (idle !== undefined) this.#timers.push(idle)
    if (ageMs !== undefined) this.#timers.push(setTimeout(() => this.cut(), ageMs))
    near.on('data', (bytes) => {
      idle?.refresh()
      for (const words of requests.push(bytes)) this.#asked(words, refusal(words))
    })
    far.on('data', (bytes) => {
      near.cork()
      for (const frame of frames.push(bytes)) this.#answered(frame)
      near.uncork()
    })
  }

  cut() {
    this.#near.destroy()
    this.#far.destroy()
  }

  #asked(words, error) {
    const subscribes = SUBSCRIBES.test(words[0].toString('latin1').toUpperCase())
    this.#listens ||= subscribes
    this.#owed.push(error ?? (subscribes ? words.length - 1 : 1))
    if (error === undefined) this.#far.write(requestOf(words))
    else this.#refuse()
  }

  #answered(frame) {
    this.#near.write(frame)
    const isPush = frame[0] === 0x3e || (this.#listens && frame[0] === 0x2a)
    if (isPush && MESSAGES.includes(kindOf(frame))) return
    const isError = frame[0] === 0x2d
    this.#owed[0] = isError ? 0 : this.#owed[0] - 1
    if (this.#owed[0] > 0) return
    this.#owed.shift()
    this.#refuse()
  }

  /** Answers the requests that are refused, up to the next that the server has to answer. */
  #refuse() {
    while (typeof this.#owed[0] === 'string') this.#near.write(`-${this.#owed.shift()}\r\n`)
  }
}

module.exports = { ManagedServer }
