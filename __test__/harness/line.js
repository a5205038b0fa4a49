'use strict'

/** Pieces of this size share a narrow line. */
const PIECE = 16 * 1024
/** How many bytes may be on the line before their senders have to wait, as TCP makes them. */
const WINDOW = 512 * 1024

/**
 * One direction between two machines, shared by all connections of a proxy: what is sent arrives
 * late (`delayMs`), or slowly (`bytesPerSecond`), and in order.
 */
class Line {
  delayMs = 0
  bytesPerSecond = Number.POSITIVE_INFINITY
  /** What is under way, in order. @type {{ due: number, size: number, arrive: () => void }[]} */
  #underway = []
  #bytes = 0
  /** When the line has carried all that was sent so far. */
  #freeAt = 0
  #timer
  #paused = new Set()

  /** @param {import('node:net').Socket} from @param {import('node:net').Socket} to */
  carry(from, to, bytes) {
    for (let at = 0; at < bytes.length; at += PIECE) {
      const piece = bytes.subarray(at, at + PIECE)
      this.#send(piece.length, () => {
        if (!to.destroyed) to.write(piece)
      })
    }
    if (this.#bytes > WINDOW) {
      from.pause()
      this.#paused.add(from)
    }
  }

  /** Behind all that was sent before it. */
  behind(arrive) {
    this.#send(0, arrive)
  }

  #send(size, arrive) {
    const now = performance.now()
    this.#freeAt = Math.max(now, this.#freeAt) + (size * 1000) / this.bytesPerSecond
    const due = this.#freeAt + this.delayMs
    if (this.#underway.length === 0 && due <= now) {
      arrive()
      return
    }
    this.#underway.push({ due, size, arrive })
    this.#bytes += size
    this.#timer ??= setTimeout(() => this.#deliver(), due - now)
  }

  #deliver() {
    const now = performance.now()
    let count = 0
    while (count < this.#underway.length && this.#underway[count].due <= now) count++
    for (const { size, arrive } of this.#underway.splice(0, count)) {
      this.#bytes -= size
      arrive()
    }
    if (this.#bytes <= WINDOW) {
      for (const socket of this.#paused) socket.resume()
      this.#paused.clear()
    }
    this.#timer = undefined
    if (this.#underway.length === 0) return
    this.#timer = setTimeout(() => this.#deliver(), Math.max(1, this.#underway[0].due - now))
  }

  /** What is under way never arrives. */
  cut() {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#underway = []
    this.#bytes = 0
    this.#freeAt = 0
    for (const socket of this.#paused) socket.resume()
    this.#paused.clear()
  }
}

module.exports = { Line }
