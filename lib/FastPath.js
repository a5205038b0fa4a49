'use strict'

const { now, setImmediate, setTimeout, soon } = require('./clock.js')
const { Inbox } = require('./Inbox.js')
const { Type, integer, isAscii, leastLength, packed, replyEnd } = require('./resp.js')
const { Ledger } = require('./UpdateForm.js')

/** How many calls make a connection worth while. */
const WORTHWHILE = 16

/** How long Redis may owe an answer, ms: as long as it may to the core. */
const STALL_MS = 2000
/** How long a call may wait to be sent, ms. */
const QUEUE_MS = 500
/** How often that is looked at, ms. */
const LOOK_MS = 250
/**
 * Calls that have less time are not for it, ms: one may wait for another of its session, and then
 * for its own answer, and the core needs some time for a repeat.
 */
const LEAST_TIMEOUT_MS = 2 * (STALL_MS + LOOK_MS) + 500

/** After how long a silence the peer is asked whether it is there, ms. */
const KEEP_ALIVE_MS = 10_000

/** How long the greeting may take, ms. */
const CONNECT_MS = 1000

/** How long the last answers may take, ms. */
const FINISH_MS = 1000

/** How long to do without after a failure, ms. */
const RETRY_MS = 5000

/** The most calls sent and not answered: fewer than a ledger has places. */
const MOST = 256

/**
 * Until so many calls are in flight, each that is work for Redis is sent at once: Redis does it while
 * the next is made. With more it has enough to do, and what is made in one go is sent in one go.
 */
const DEPTH = 8

/** From how many characters on what is to be sent is written. */
const CHUNK = 64 * 1024

/** The longest reply that is waited for, bytes. */
const LONGEST_REPLY = 64 * 1024 * 1024

/**
 * @typedef {InstanceType<typeof import('./settle.js').Call>} Call
 *
 * @typedef {object} Server where it is, and who is speaking
 * @property {string} [host]
 * @property {number} [port]
 * @property {string} [path] of a Unix socket
 * @property {string} [username]
 * @property {string} [password]
 * @property {number} db
 * @property {string} name of the connection, for whoever looks at `CLIENT LIST`
 *
 * @typedef {object} Request what is carried (`carried.js`)
 * @property {boolean} isWork whether Redis works on it for longer than it takes to make it
 * @property {(call: Call, ledger: InstanceType<typeof Ledger>) => string} command as it is sent
 * @property {(call: Call, waitedMs: number, bytes: Buffer, at: number, end: number) => boolean} replied
 *   ends the call by the reply that is there; false where it says that the server is unfit
 * @property {(call: Call, waitedMs: number, by: Connection | undefined) => void} left without a
 *   reply; `by` which connection it was sent, if it was: then Redis may have done it
 *
 * @typedef {{ id: number | undefined, name: string }} Connection as Redis calls it
 *
 * @typedef {object} Waiting
 * @property {Call} call
 * @property {Request} request
 * @property {number} since when it was called
 * @property {number} sentAt when it was sent
 */

/**
 * A connection that the JavaScript thread itself writes to and reads from.
 *
 * On the way through the core two more sleeping threads have to be woken for each answer, which is
 * half of what a caller waits who waits for one answer after the other. Here is no supervision: what
 * has no plain answer in time is left by this connection, and what becomes of it is for the request
 * to say.
 */
class FastPath {
  #server
  #newLedger
  /** @type {import('node:net').Socket | undefined} */
  #socket
  #ready = false
  /** How many answers to the greeting are to come. */
  #greetings = 0
  #isNamed = false
  /** What Redis calls the connection. @type {number | undefined} */
  #id
  #wanted = 0
  #retryAt = 0
  /** Where the writes of this connection note that they were applied. @type {InstanceType<typeof Ledger> | undefined} */
  #ledger
  /** @type {Waiting[]} in the order of their answers */
  #waiting = []
  /** How many of them are answered already. */
  #answered = 0
  /** How many of them are sent. */
  #sent = 0
  /** When something was called or answered last. */
  #time = 0
  /** @type {InstanceType<typeof Inbox> | undefined} */
  #inbox
  #sending = false
  #watched = false
  /** Called when it is at its end. @type {(() => void) | undefined} */
  #finished

  /** @param {Server} server @param {() => string} newLedger makes the key of a new ledger */
  constructor(server, newLedger) {
    this.#server = server
    this.#newLedger = newLedger
  }

  /**
   * Whether there is a connection for calls that have this much time. To ask for it often enough
   * makes one.
   *
   * @param {number} timeoutMs
   */
  isReady(timeoutMs) {
    if (timeoutMs < LEAST_TIMEOUT_MS) return false
    if (this.#ready) return true
    if (this.#socket === undefined && ++this.#wanted >= WORTHWHILE) this.#connect()
    return false
  }

  /** Whether nothing waits for it. */
  get isIdle() {
    return this.#waiting.length === 0
  }

  /** @param {Call} call @param {Request} request */
  carry(call, request) {
    if (this.#waiting.length === this.#answered) this.#socket?.ref()
    if (!this.#sending) {
      this.#time = now()
      this.#sendSoon()
    }
    this.#waiting.push({ call, request, since: this.#time, sentAt: 0 })
    if (request.isWork && this.#sent - this.#answered < DEPTH) this.#send()
    if (!this.#watched) this.#watch()
  }

  /**
   * Ends the connection when what waits is answered, or a second has passed. There must be no more
   * calls.
   *
   * @param {() => void} finished
   * @param {() => void} late called in its place where the second has passed
   */
  finish(finished, late) {
    this.#finished = finished
    if (this.isIdle) return this.drop()
    const timer = setTimeout(() => {
      if (this.#finished === undefined) return
      this.#finished = late
      this.drop()
    }, FINISH_MS)
    timer.unref()
  }

  /** Ends the connection, and leaves what has no answer. */
  drop() {
    const socket = this.#socket
    if (socket !== undefined) {
      this.#socket = undefined
      this.#ready = false
      this.#wanted = 0
      this.#inbox = undefined
      socket.destroy()
      this.#leave(this.#waiting.splice(this.#answered))
    }
    const finished = this.#finished
    this.#finished = undefined
    finished?.()
  }

  /** Leaves these, which wait no longer: those that were sent, and then others. @param {Waiting[]} left */
  #leave(left) {
    const sent = Math.max(0, this.#sent - this.#waiting.length)
    this.#sent -= sent
    this.#forget()
    const time = now()
    const by = { id: this.#id, name: this.#server.name }
    for (const [at, { call, request, since }] of left.entries()) {
      request.left(call, time - since, at < sent ? by : undefined)
    }
  }

  /** Leaves what has not been sent, but for what would overtake another call about its session. */
  #leaveUnsent() {
    const sessions = new Set()
    for (let at = this.#answered; at < this.#sent; at++)
      sessions.add(this.#waiting[at]?.call.sessionId)
    const unsent = this.#waiting.splice(this.#sent)
    const left = []
    for (const waiting of unsent) {
      if (sessions.has(waiting.call.sessionId)) this.#waiting.push(waiting)
      else left.push(waiting)
    }
    this.#leave(left)
  }

  #connect() {
    const time = now()
    if (time < this.#retryAt) return
    this.#retryAt = time + RETRY_MS
    this.#ledger = new Ledger(this.#newLedger())
    // Not before: to load it takes a tenth of the time in which this module is loaded.
    const net = require('node:net')
    const { host, port, path, username, password, db, name } = this.#server
    const where = path === undefined ? { host, port } : { path }
    const inbox = new Inbox()
    this.#inbox = inbox
    const callback = (/** @type {number} */ length) => {
      if (this.#socket === socket) this.#received(length)
      return true
    }
    const onread = { buffer: () => inbox.space(), callback }
    const alive = { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }
    const options = { ...where, ...alive, onread }
    const socket = net.connect(/** @type {import('node:net').NetConnectOpts} */ (options))
    this.#socket = socket
    const end = () => {
      if (this.#socket === socket) this.drop()
    }
    socket.on('error', end)
    socket.on('close', end)
    socket.unref()
    // Where a name has several addresses, the handle that is unreferenced may not be the last.
    socket.once('connect', () => {
      if (this.#socket === socket && this.isIdle) socket.unref()
    })
    const greetings = [db === 0 ? ['PING'] : ['SELECT', String(db)]]
    if (password !== undefined) {
      greetings.unshift(['AUTH', ...(username === undefined ? [] : [username]), password])
    }
    greetings.push(['CLIENT', 'SETNAME', name], ['CLIENT', 'ID'])
    this.#greetings = greetings.length
    this.#id = undefined
    socket.write(greetings.map(packed).join(''))
    setTimeout(() => {
      if (this.#socket === socket && !this.#ready) this.drop()
    }, CONNECT_MS).unref()
  }

  /** What is called in one go goes together. */
  #sendSoon() {
    this.#sending = true
    soon(() => {
      this.#sending = false
      this.#send()
    })
  }

  /** Sends of what waits as much as may be in flight. */
  #send() {
    const end = Math.min(this.#waiting.length, this.#answered + MOST)
    this.#time = now()
    while (this.#sent < end) {
      let text = ''
      while (this.#sent < end && text.length < CHUNK) {
        text += this.#command(/** @type {Waiting} */ (this.#waiting[this.#sent++]))
      }
      this.#socket?.write(text, isAscii(text) ? 'latin1' : 'utf8')
    }
  }

  /** Put together when it is sent: those that wait take less memory. @param {Waiting} waiting */
  #command(waiting) {
    waiting.sentAt = this.#time
    const ledger = /** @type {InstanceType<typeof Ledger>} */ (this.#ledger)
    return waiting.request.command(waiting.call, ledger)
  }

  /** @param {number} length */
  #received(length) {
    this.#time = now()
    const inbox = this.#inbox
    if (!inbox?.add(length)) return
    const { bytes, end } = inbox
    let at = inbox.start
    let left = 0
    let longest = 0
    while (at < end) {
      const next = this.#ready ? this.#reply(bytes, at, end) : this.#greeting(bytes, at, end)
      if (next < 0) return this.drop()
      if (next === 0) {
        left = leastLength(bytes, at, end)
        if (left > LONGEST_REPLY) return this.drop()
        break
      }
      if (next - at > longest) longest = next - at
      at = next
    }
    inbox.keep(at, left, longest)
    if (this.#sent < this.#waiting.length && !this.#sending) this.#sendSoon()
    if (this.#finished !== undefined && this.#waiting.length === 0) this.drop()
  }

  /**
   * Takes the reply that begins at `at`.
   *
   * @param {Buffer} bytes @param {number} at @param {number} end
   * @returns {number} where the next one begins; 0 where the end of this one is to come; less than
   *   0 where it means that this connection cannot go on
   */
  #reply(bytes, at, end) {
    const waiting = this.#waiting[this.#answered]
    if (waiting === undefined || this.#answered >= this.#sent) return -1
    const next = replyEnd(bytes, at, end)
    if (next <= 0) return next
    const { call, request, since } = waiting
    this.#answered++
    this.#forget()
    return request.replied(call, this.#time - since, bytes, at, next) ? next : -1
  }

  /** @param {Buffer} bytes @param {number} at @param {number} end */
  #greeting(bytes, at, end) {
    const left = this.#greetings
    const type = bytes[at]
    // The last two are to be told apart by, which a user may not be allowed.
    if (left > 2 && type !== Type.STATUS) return -1
    const next = replyEnd(bytes, at, end)
    if (next <= 0) return next
    if (left === 2) this.#isNamed = type === Type.STATUS
    if (left === 1 && this.#isNamed && type === Type.INTEGER) this.#id = integer(bytes, at, next)
    this.#greetings = left - 1
    this.#ready = left === 1
    return next
  }

  /** Lets go of what is answered. */
  #forget() {
    const isLast = this.#answered === this.#waiting.length
    if (isLast) this.#socket?.unref()
    // Half of it: to move what is left costs each answer no more than a step.
    if (isLast || (this.#answered >= MOST && this.#answered * 2 >= this.#waiting.length)) {
      this.#waiting.splice(0, this.#answered)
      this.#sent -= this.#answered
      this.#answered = 0
    }
  }

  /** Looks after those that wait for as long as any do. */
  #watch() {
    this.#watched = true
    // A thread that was busy has answers to read before it may find that there are none.
    setTimeout(() => setImmediate(() => this.#look()), LOOK_MS).unref()
  }

  #look() {
    this.#watched = false
    const oldest = this.#waiting[this.#answered]
    if (oldest === undefined) return
    const time = now()
    if (this.#sent > this.#answered && time - oldest.sentAt >= STALL_MS) return this.drop()
    const unsent = this.#waiting[this.#sent]
    if (unsent !== undefined && time - unsent.since >= QUEUE_MS) this.#leaveUnsent()
    this.#watch()
  }
}

module.exports = { FastPath }
