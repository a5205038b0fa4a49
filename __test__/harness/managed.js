'use strict'

const net = require('node:net')
const { Frames, kindOf } = require('./replies.js')
const { Requests, requestOf } = require('./requests.js')

const MESSAGES = ['message', 'pmessage', 'smessage', 'invalidate']
const SUBSCRIBES = /^[PS]?(UN)?SUBSCRIBE$/

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
   * @param {object} [options] by default no connection is cut, and nothing is held up
   * @param {string[]} [options.refuses] commands, such as `HELLO`, and subcommands, such as `CLIENT|KILL`
   * @param {(name: string) => string} [options.error] the error for such a command
   * @param {number} [options.idleMs] after how long without a request a connection is cut
   * @param {number} [options.ageMs] at which age a connection is cut
   * @param {(request: string) => Promise<void> | undefined} [options.asking] holds up a request
   * @param {(request: string) => Promise<void> | undefined} [options.answering] holds up an answer
   */
  static async start(target, options = {}) {
    const managed = new ManagedServer()
    managed.target = target
    managed.#options = {
      refuses: [],
      error: (name) => `ERR unknown command '${name}', with args beginning with: `,
      asking: () => undefined,
      answering: () => undefined,
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
    const far = net.connect(this.target, '127.0.0.1')
    const refusal = (words) => this.#refusal(words)
    const connection = new Connection(near, far, this.#options, refusal)
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
  #options
  #refusal
  /**
   * What each request is still answered with: so many frames of the server's, or an error.
   *
   * @type {{ text: string, frames: number, error?: string }[]}
   */
  #owed = []
  #listens = false
  #timers = []

  constructor(near, far, options, refusal) {
    this.#near = near
    this.#far = far
    this.#options = options
    this.#refusal = refusal
    const { idleMs, ageMs } = options
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
    near.on('data', () => idle?.refresh())
    passOn(near, new Requests(), far, (words) => this.#asked(words))
    passOn(far, new Frames(), near, (frame) => this.#answered(frame))
  }

  cut() {
    this.#near.destroy()
    this.#far.destroy()
  }

  /** @param {Buffer[]} words @returns {Promise<void> | undefined} */
  #asked(words) {
    const text = words.map(String).join(' ')
    const error = this.#refusal(words)
    if (error !== undefined) {
      this.#owed.push({ text, frames: 0, error })
      this.#refuse()
      return undefined
    }
    return after(this.#options.asking(text), () => {
      const subscribes = SUBSCRIBES.test(words[0].toString('latin1').toUpperCase())
      this.#listens ||= subscribes
      this.#owed.push({ text, frames: subscribes ? words.length - 1 : 1 })
      this.#far.write(requestOf(words))
    })
  }

  /** @param {Buffer} frame @returns {Promise<void> | undefined} */
  #answered(frame) {
    const isPush = frame[0] === 0x3e || (this.#listens && frame[0] === 0x2a)
    const [owed] = this.#owed
    if (owed === undefined || (isPush && MESSAGES.includes(kindOf(frame)))) {
      this.#near.write(frame)
      return undefined
    }
    return after(this.#options.answering(owed.text), () => {
      this.#near.write(frame)
      const isError = frame[0] === 0x2d
      owed.frames = isError ? 0 : owed.frames - 1
      if (owed.frames > 0) return
      this.#owed.shift()
      this.#refuse()
    })
  }

  /** Answers the requests that are refused, up to the next that the server has to answer. */
  #refuse() {
    while (this.#owed[0]?.error !== undefined) this.#near.write(`-${this.#owed.shift().error}\r\n`)
  }
}

/** Takes what comes from one side apart, and passes each part on when the one before it is. */
function passOn(from, parser, to, pass) {
  const parts = []
  let isPassing = false
  from.on('data', async (bytes) => {
    parts.push(...parser.push(bytes))
    if (isPassing) return
    isPassing = true
    to.cork()
    while (parts.length > 0) {
      const held = pass(parts.shift())
      if (held === undefined) continue
      to.uncork()
      await held
      to.cork()
    }
    to.uncork()
    isPassing = false
  })
}

/** @param {Promise<void> | undefined} held @param {() => void} act */
function after(held, act) {
  if (held !== undefined) return held.then(act)
  act()
  return undefined
}

module.exports = { ManagedServer }
