'use strict'

/** Takes a stream of bytes apart into the frames that a server sends, in RESP2 or RESP3. */
class Frames {
  #rest = Buffer.alloc(0)

  /**
   * @param {Buffer} bytes
   * @returns {Buffer[]} the frames that are complete by now
   */
  push(bytes) {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    const complete = []
    let at = 0
    for (;;) {
      const end = endOf(this.#rest, at)
      if (end === undefined) break
      complete.push(this.#rest.subarray(at, end))
      at = end
    }
    this.#rest = this.#rest.subarray(at)
    return complete
  }
}

/** Where the frame ends that begins there; undefined while that is missing. */
function endOf(bytes, start) {
  const newline = bytes.indexOf('\r\n', start)
  if (newline === -1) return undefined
  const after = newline + 2
  const type = String.fromCharCode(bytes[start])
  const number = Number(bytes.toString('latin1', start + 1, newline))
  switch (type) {
    case '$':
    case '=':
    case '!': {
      const end = number < 0 ? after : after + number + 2
      return end <= bytes.length ? end : undefined
    }
    case '*':
    case '~':
    case '>':
      return endOfParts(bytes, after, number)
    case '%':
      return endOfParts(bytes, after, 2 * number)
    case '|':
      return endOfParts(bytes, after, 2 * number + 1)
    default:
      return after
  }
}

function endOfParts(bytes, start, count) {
  let at = start
  for (let n = 0; n < count && at !== undefined; n++) at = endOf(bytes, at)
  return at
}

/** What a push, or in RESP2 a list, says that it is: its first string. @param {Buffer} frame */
function kindOf(frame) {
  const [first, length, kind] = frame.toString('latin1', 0, 64).split('\r\n')
  return /^[*>]/.test(first) && length?.startsWith('$') ? kind : undefined
}

module.exports = { Frames, kindOf }
