'use strict'

const { Type, bulk, eachPart, integer, text, word } = require('./resp.js')
const { ANSWER, FAILED, PART } = require('./settle.js')

/**
 * What the fast path carries: how it is sent, and what becomes of it. Whatever has no plain reply is
 * handed over to the core, with what it has waited.
 *
 * @typedef {InstanceType<typeof import('./settle.js').Call>} Call
 * @typedef {InstanceType<typeof import('./OtherWay.js').OtherWay>} OtherWay
 * @typedef {import('./FastPath.js').Request} Request
 * @typedef {import('node:buffer').Buffer} Buffer
 */

/** All reads of a manager that are of one session each. @implements {Request} */
class Reads {
  isWork = false
  #otherWay
  #keyPrefix

  /** @param {OtherWay} otherWay @param {string} keyPrefix */
  constructor(otherWay, keyPrefix) {
    this.#otherWay = otherWay
    this.#keyPrefix = keyPrefix
  }

  /** @param {Call} call */
  command({ sessionId }) {
    return `*2\r\n$3\r\nGET\r\n${word(this.#keyPrefix + sessionId)}`
  }

  /**
   * @param {Call} call @param {number} waitedMs
   * @param {Buffer} bytes @param {number} at @param {number} end
   */
  replied(call, waitedMs, bytes, at, end) {
    const document = bytes[at] === Type.BULK ? bulk(bytes, at, end) : undefined
    // It may be no UTF-8, which is for the core to tell.
    if (document === undefined || document?.includes('\ufffd')) this.left(call, waitedMs)
    else call.settle(ANSWER, document === null ? 0 : countIsoEnds(document), document)
    return true
  }

  /** @param {Call} call @param {number} waitedMs */
  left({ slot, sessionId }, waitedMs) {
    this.#otherWay.store.get(slot, /** @type {string} */ (sessionId), waitedMs)
    this.#otherWay.sendSoon()
  }
}

/** A read of several sessions. @implements {Request} */
class ReadMany {
  isWork = false
  #otherWay
  #keyPrefix
  #sessionIds

  /** @param {OtherWay} otherWay @param {string} keyPrefix @param {string[]} sessionIds */
  constructor(otherWay, keyPrefix, sessionIds) {
    this.#otherWay = otherWay
    this.#keyPrefix = keyPrefix
    this.#sessionIds = sessionIds
  }

  command() {
    const keys = this.#sessionIds.map((id) => word(this.#keyPrefix + id))
    return `*${keys.length + 1}\r\n$4\r\nMGET\r\n${keys.join('')}`
  }

  /**
   * @param {Call} call @param {number} waitedMs
   * @param {Buffer} bytes @param {number} at @param {number} end
   */
  replied(call, waitedMs, bytes, at, end) {
    /** @type {(string | null)[]} */
    const documents = []
    if (bytes[at] === Type.ARRAY) {
      eachPart(bytes, at, end, (begin, next) => documents.push(bulk(bytes, begin, next)))
    }
    const isPlain = documents.length === this.#sessionIds.length
    if (isPlain && !documents.some((document) => document?.includes('\ufffd'))) {
      for (const document of documents) {
        call.settle(PART, document === null ? 0 : countIsoEnds(document), document)
      }
      call.settle(ANSWER, 0, null)
    } else this.left(call, waitedMs)
    return true
  }

  /** @param {Call} call @param {number} waitedMs */
  left({ slot }, waitedMs) {
    this.#otherWay.store.getMany(slot, JSON.stringify(this.#sessionIds), waitedMs)
    this.#otherWay.sendSoon()
  }
}

/** A locked update: repeated, behind the end of the connection that it was sent by. @implements {Request} */
class Update {
  isWork = true
  #otherWay
  #form
  #asCalled
  /** @type {import('./UpdateForm.js').Noted | undefined} */
  #noted

  /**
   * @param {OtherWay} otherWay
   * @param {InstanceType<typeof import('./UpdateForm.js').UpdateForm>} form
   * @param {import('./UpdateForm.js').AsCalled} asCalled
   */
  constructor(otherWay, form, asCalled) {
    this.#otherWay = otherWay
    this.#form = form
    this.#asCalled = asCalled
  }

  /** @param {Call} _call @param {InstanceType<typeof import('./UpdateForm.js').Ledger>} ledger */
  command(_call, ledger) {
    this.#noted = ledger.next()
    return this.#form.command(this.#asCalled, this.#noted, ledger.renews(this.#asCalled.now))
  }

  /**
   * @param {Call} call @param {number} waitedMs
   * @param {Buffer} bytes @param {number} at @param {number} end
   */
  replied(call, waitedMs, bytes, at, end) {
    if (bytes[at] === Type.INTEGER) {
      call.settle(ANSWER, integer(bytes, at, end), null)
      return true
    }
    const { store } = this.#otherWay
    const isFit = store.replied(call.slot, ...this.#update, waitedMs, bytes.subarray(at, end))
    this.#handedOver(call) // The core may send it again.
    return isFit
  }

  /**
   * @param {Call} call @param {number} waitedMs
   * @param {import('./FastPath.js').Connection | undefined} by
   */
  left(call, waitedMs, by) {
    const sent = by && JSON.stringify({ ...this.#noted, ...by })
    this.#otherWay.store.takeOver(call.slot, ...this.#update, waitedMs, sent)
    this.#handedOver(call)
  }

  /** As the core takes it. @returns {[string, string, number, number, string]} */
  get #update() {
    const { sessionId, document, version, now, recordId } = this.#asCalled
    return [sessionId, document, version, now, recordId]
  }

  /** @param {Call} call */
  #handedOver({ promise }) {
    this.#otherWay.sendSoon()
    this.#otherWay.keep(this.#asCalled.sessionId, promise)
  }
}

/** A broadcast: never sent twice. @implements {Request} */
class Broadcast {
  isWork = false
  #otherWay
  #channel
  #message
  #now

  /**
   * @param {OtherWay} otherWay
   * @param {string} channel
   * @param {string} message JSON
   * @param {number} now when it was called, milliseconds since the epoch
   */
  constructor(otherWay, channel, message, now) {
    this.#otherWay = otherWay
    this.#channel = channel
    this.#message = message
    this.#now = now
  }

  /** As `broadcast` in `src/session/message.rs` has it. @param {Call} call */
  command({ sessionId }) {
    const id = JSON.stringify(sessionId)
    const payload = `{"sessionId":${id},"message":${this.#message},"timestamp":${this.#now}}`
    return `*3\r\n$7\r\nPUBLISH\r\n${text(this.#channel)}${text(payload)}`
  }

  /** @param {Call} call @param {number} waitedMs @param {Buffer} bytes @param {number} at */
  replied(call, waitedMs, bytes, at) {
    if (bytes[at] === Type.INTEGER) call.settle(ANSWER, 0, null)
    else this.left(call, waitedMs, undefined) // Refused, and so not done.
    return true
  }

  /**
   * @param {Call} call @param {number} waitedMs
   * @param {import('./FastPath.js').Connection | undefined} by
   */
  left(call, waitedMs, by) {
    if (by !== undefined) {
      const reason = 'the connection was lost before the answer came'
      call.settle(FAILED, 0, JSON.stringify({ code: 'OUTCOME_UNKNOWN', reason }))
      return
    }
    const sessionId = /** @type {string} */ (call.sessionId)
    this.#otherWay.store.broadcast(call.slot, sessionId, this.#message, this.#now, waitedMs)
    this.#otherWay.sendSoon()
    this.#otherWay.keep(sessionId, call.promise)
  }
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

module.exports = { Broadcast, ReadMany, Reads, Update }
