'use strict'

const { Buffer } = require('node:buffer')
const { now, setImmediate, setTimeout, soon } = require('./clock.js')
const { ANSWER } = require('./settle.js')
const { Ledger } = require('./UpdateForm.js')

/** How many calls make a connection worth while. */
const WORTHWHILE = 16

/** How long Redis may say nothing while it owes answers, and how long it may owe one, ms. */
const STALL_MS = 1000
const LONGEST_MS = 2000
/** How long a call may wait to be sent, ms. */
const QUEUE_MS = 500
/** How often that is looked at, ms. */
const LOOK_MS = 250
/** Calls that have less time are not for it: the core needs some of it for a repeat, ms. */
const LEAST_TIMEOUT_MS = QUEUE_MS + LOOK_MS + LONGEST_MS + LOOK_MS + 1000

/** After how long a silence the peer is asked whether it is there, ms. */
const KEEP_ALIVE_MS = 10_000

/** How long to do without after a failure, ms. */
const RETRY_MS = 5000

/** The most calls sent and not answered: fewer than a ledger has places. */
const MOST = 256

/** The fewest calls that are half of all: one alone is not worth a system call more. */
const LEAST_HALF = 2

/** From how many characters on what is to be sent is written. */
const CHUNK = 64 * 1024

/** What is read at once: not all there is, so that Redis has work again before the rest is read. */
const READ_CHUNK = 32 * 1024

const LF = 0x0a
const CR = 0x0d
const DOLLAR = 0x24
const STAR = 0x2a
const PLUS = 0x2b
const MINUS = 0x2d
const COLON = 0x3a
const ZERO = 0x30

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
 * @typedef {object} Caller what is sent, and what becomes of calls that have no plain answer
 * @property {(call: Call) => string} key what is read, in ASCII
 * @property {(call: Call, waitedMs: number) => void} readOtherwise
 * @property {(update: Update, noted: Noted, renews: boolean) => string} command the update's
 * @property {(call: Call, update: Update, waitedMs: number, reply: Buffer) => boolean} refused by
 *   this reply; false where the server is unfit
 * @property {(call: Call, update: Update, waitedMs: number, sent: Sent | undefined) => void} writeOtherwise
 *   if it was sent, it may have been applied
 *
 * @typedef {import('./UpdateForm.js').Update} Update
 * @typedef {import('./UpdateForm.js').Noted} Noted
 * @typedef {Noted & { id: number | undefined, name: string }} Sent and by which connection
 *
 * @typedef {object} Waiting
 * @property {Call} call
 * @property {Caller} caller
 * @property {Update | undefined} update if it is not a read
 * @property {number} since when it was called
 * @property {number} sentAt when it was sent
 * @property {Noted | undefined} noted where a write that was sent notes that it was applied
 */

/**
 * A connection that the JavaScript thread itself writes to and reads from.
 *
 * On the way through the core two more sleeping threads have to be woken for each answer, which is
 * half of what a caller waits who waits for one answer after the other. Here is no supervision:
 * whatever is not plainly answered in time is left to the core, which repeats it. So only what may
 * be repeated at any time is carried here: reads, and updates with an expected version.
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
  /** When something was called or answered last, and when answered. */
  #time = 0
  #heardAt = 0
  /** The beginning of a reply whose end is to come. @type {Buffer[] | undefined} */
  #rest
  #restLength = 0
  /** How long that reply is at least. */
  #wantedLength = 0
  #sending = false
  /** Half of the calls that were there when the last of them were sent. */
  #half = LEAST_HALF
  #watched = false

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

  /** @param {Call} call @param {Caller} caller */
  read(call, caller) {
    this.#expect(undefined, call, caller)
  }

  /** @param {Update} update @param {Call} call @param {Caller} caller */
  write(update, call, caller) {
    this.#expect(update, call, caller)
  }

  /** Ends the connection. What has no answer is left to the core. */
  drop() {
    const socket = this.#socket
    if (socket === undefined) return
    this.#socket = undefined
    this.#ready = false
    this.#wanted = 0
    this.#rest = undefined
    socket.destroy()
    this.#leave(this.#answered)
  }

  /** Leaves to the core what waits, from this one on. @param {number} first */
  #leave(first) {
    const left = this.#waiting.splice(first)
    this.#sent = first
    this.#forget()
    const time = now()
    const by = { id: this.#id, name: this.#server.name }
    for (const { call, caller, update, since, noted } of left) {
      if (update === undefined) caller.readOtherwise(call, time - since)
      else caller.writeOtherwise(call, update, time - since, noted && { ...noted, ...by })
    }
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
    const buffer = Buffer.allocUnsafeSlow(READ_CHUNK)
    const callback = (/** @type {number} */ length) => {
      if (this.#socket === socket) this.#received(buffer, length)
      return true
    }
    const alive = { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }
    const options = { ...where, ...alive, onread: { buffer, callback } }
    const socket = net.connect(/** @type {import('node:net').NetConnectOpts} */ (options))
    this.#socket = socket
    const end = () => {
      if (this.#socket === socket) this.drop()
    }
    socket.on('error', end)
    socket.on('close', end)
    socket.unref()
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
    }, STALL_MS).unref()
  }

  /** @param {Update | undefined} update @param {Call} call @param {Caller} caller */
  #expect(update, call, caller) {
    if (this.#waiting.length === this.#answered) this.#socket?.ref()
    if (!this.#sending) {
      this.#time = now()
      this.#sendSoon()
    }
    const since = this.#time
    this.#waiting.push({ call, caller, update, since, sentAt: 0, noted: undefined })
    // While Redis works on one half of the updates, the other is made. Reads are no work for it.
    const isIdle = this.#sent === this.#answered
    if (update !== undefined && isIdle && this.#waiting.length - this.#sent >= this.#half)
      this.#send()
    if (!this.#watched) this.#watch()
  }

  /** What is called in one go goes together. */
  #sendSoon() {
    this.#sending = true
    soon(() => {
      this.#sending = false
      this.#half = Math.max(LEAST_HALF, (this.#waiting.length - this.#answered) / 2)
      this.#send()
    })
  }

  /** Sends of what waits as much as may be in flight. */
  #send() {
    const end = Math.min(this.#waiting.length, this.#answered + MOST)
    while (this.#sent < end) {
      let text = ''
      while (this.#sent < end && text.length < CHUNK) {
        text += this.#command(/** @type {Waiting} */ (this.#waiting[this.#sent++]))
      }
      const isAscii = Buffer.byteLength(text) === text.length
      this.#socket?.write(text, isAscii ? 'latin1' : 'utf8')
    }
  }

  /** Put together when it is sent: those that wait take less memory. @param {Waiting} waiting */
  #command(waiting) {
    const { call, caller, update } = waiting
    waiting.sentAt = this.#time
    if (update === undefined) {
      const key = caller.key(call)
      return `*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`
    }
    const ledger = /** @type {InstanceType<typeof Ledger>} */ (this.#ledger)
    waiting.noted = ledger.next()
    return caller.command(update, waiting.noted, ledger.renews(update.now))
  }

  /** @param {Buffer} chunk @param {number} length */
  #received(chunk, length) {
    this.#time = now()
    this.#heardAt = this.#time
    let bytes = chunk
    let end = length
    if (this.#rest !== undefined) {
      // Copied: the chunk will be read into again.
      this.#rest.push(Buffer.from(chunk.subarray(0, length)))
      this.#restLength += length
      // Put together once, however many chunks it comes in.
      if (this.#restLength < this.#wantedLength) return
      bytes = Buffer.concat(this.#rest)
      end = bytes.length
      this.#rest = undefined
    }
    let at = 0
    while (at < end) {
      const next = this.#ready ? this.#reply(bytes, at, end) : this.#greeting(bytes, at, end)
      if (next < 0) return this.drop()
      if (next === 0) {
        this.#rest = [Buffer.from(bytes.subarray(at, end))]
        this.#restLength = end - at
        this.#wantedLength = leastLength(bytes, at, end)
        break
      }
      at = next
    }
    if (this.#sent < this.#waiting.length && !this.#sending) this.#sendSoon()
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
    const { call, caller, update, since } = waiting
    const type = bytes[at]
    if (update === undefined) {
      if (type !== DOLLAR) return this.#readOtherwise(waiting, next)
      const missing = bytes[at + 1] === MINUS
      const text = missing ? null : bytes.toString('utf8', bytes.indexOf(LF, at) + 1, next - 2)
      // It may be no UTF-8, which is for the core to tell.
      if (text?.includes('\ufffd')) return this.#readOtherwise(waiting, next)
      this.#next()
      call.settle(ANSWER, text === null ? 0 : countIsoEnds(text), text)
    } else if (type === COLON) {
      this.#next()
      call.settle(ANSWER, integer(bytes, at + 1, next - 2), null)
    } else {
      this.#next()
      const reply = bytes.subarray(at, next)
      if (!caller.refused(call, update, this.#time - since, reply)) return -1
    }
    return next
  }

  /** Leaves a read to the core, whatever came. @param {Waiting} waiting @param {number} next */
  #readOtherwise({ call, caller, since }, next) {
    this.#next()
    caller.readOtherwise(call, this.#time - since)
    return next
  }

  /** @param {Buffer} bytes @param {number} at @param {number} end */
  #greeting(bytes, at, end) {
    const left = this.#greetings
    const type = bytes[at]
    // The last two are to be told apart by, which a user may not be allowed.
    if (left > 2 && type !== PLUS) return -1
    const next = replyEnd(bytes, at, end)
    if (next <= 0) return next
    if (left === 2) this.#isNamed = type === PLUS
    if (left === 1 && this.#isNamed && type === COLON) this.#id = integer(bytes, at + 1, next - 2)
    this.#greetings = left - 1
    this.#ready = left === 1
    return next
  }

  /** One more is answered. */
  #next() {
    this.#answered++
    this.#forget()
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
    if (this.#sent > this.#answered) {
      const silence = time - Math.max(oldest.sentAt, this.#heardAt)
      if (silence >= STALL_MS || time - oldest.sentAt >= LONGEST_MS) return this.drop()
    }
    const unsent = this.#waiting[this.#sent]
    if (unsent !== undefined && time - unsent.since >= QUEUE_MS) this.#leave(this.#sent)
    this.#watch()
  }
}

/**
 * Where the reply (RESP2) that begins at `at` ends; 0 where that is to come, less than 0 where it
 * is none.
 *
 * @param {Buffer} bytes @param {number} at @param {number} end
 * @returns {number}
 */
function replyEnd(bytes, at, end) {
  const type = bytes[at]
  if (type !== DOLLAR && type !== STAR) {
    if (type !== PLUS && type !== MINUS && type !== COLON) return -1
    const line = bytes.indexOf(LF, at) + 1
    return line <= end ? line : 0
  }
  let number = 0
  let next = at + 1
  if (bytes[next] === MINUS) {
    // -1: there is none.
    next += 4
    return next <= end ? next : 0
  }
  for (; next < end && bytes[next] !== CR; next++) {
    number = number * 10 + /** @type {number} */ (bytes[next]) - ZERO
  }
  next += 2
  if (next > end) return 0
  if (type === DOLLAR) {
    next += number + 2
    return next <= end ? next : 0
  }
  for (; number > 0; number--) {
    if (next >= end) return 0
    next = replyEnd(bytes, next, end)
    if (next <= 0) return next
  }
  return next
}

/**
 * How long the reply that begins at `at` is at least; its end is to come.
 *
 * @param {Buffer} bytes @param {number} at @param {number} end
 */
function leastLength(bytes, at, end) {
  const line = bytes.indexOf(LF, at) + 1
  const isKnown = bytes[at] === DOLLAR && line > 0 && line <= end
  return isKnown ? line - at + integer(bytes, at + 1, line - 2) + 2 : end - at + 1
}

/** @param {Buffer} bytes @param {number} from @param {number} to */
function integer(bytes, from, to) {
  const negative = bytes[from] === MINUS
  let value = 0
  for (let at = negative ? from + 1 : from; at < to; at++) {
    value = value * 10 + /** @type {number} */ (bytes[at]) - ZERO
  }
  return negative ? -value : value
}

/** @param {string[]} command */
function packed(command) {
  const words = command.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)
  return `*${command.length}\r\n${words.join('')}`
}

/**
 * At least as many as there are strings that look as `toISOString()` writes them.
 *
 * @param {string} text
 */
function countIsoEnds(text) {
  let count = 0
  for (let at = text.indexOf('Z"'); at >= 0; at = text.indexOf('Z"', at + 2)) count++
  return count
}

module.exports = { FastPath }
