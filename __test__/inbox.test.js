'use strict'

const { Inbox } = require('../lib/Inbox.js')

/** Reproducible: the numbers of one seed. */
function random(seed) {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** Replies that say how long they are, and differ from byte to byte. */
function replyOf(length, number) {
  const reply = Buffer.alloc(length + 4)
  reply.writeUInt32LE(length)
  for (let at = 4; at < reply.length; at++) reply[at] = number * 31 + at
  return reply
}

test.each([1, 2, 3, 4, 5, 6])('what goes in comes out, however it is cut (%i)', (seed) => {
  const below = random(seed)
  const lengths = [0, 3, 900, 5000, 40_000, 300_000, 1_500_000]
  // Runs of one kind, so that it adapts to them, and back.
  const replies = Array.from({ length: 40 }, () => lengths[below(lengths.length)]).flatMap(
    (length) => Array.from({ length: length > 100_000 ? 2 : 1 + below(60) }, () => length),
  )
  const sent = replies.map((length, number) => replyOf(below(length + 1), number))
  const wire = Buffer.concat(sent)
  const inbox = new Inbox()
  const received = []
  for (let at = 0; at < wire.length; ) {
    const space = inbox.space()
    expect(space.length).toBeGreaterThan(0)
    const most = Math.min(space.length, wire.length - at)
    const length = below(3) === 0 ? 1 + below(most) : most
    wire.copy(space, 0, at, at + length)
    at += length
    if (!inbox.add(length)) continue
    const { bytes, end } = inbox
    let { start } = inbox
    let left = 0
    let longest = 0
    while (start < end) {
      const whole = end - start < 4 ? 4 : bytes.readUInt32LE(start) + 4
      if (whole > end - start) {
        left = whole
        break
      }
      received.push(Buffer.from(bytes.subarray(start, start + whole)))
      longest = Math.max(longest, whole)
      start += whole
    }
    inbox.keep(start, left, longest)
  }
  expect(received.length).toBe(sent.length)
  expect(received.every((reply, number) => reply.equals(sent[number]))).toBe(true)
})
