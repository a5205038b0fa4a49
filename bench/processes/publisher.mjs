// Updates of a thousand sessions, at a steady rate, as all instances together publish them.
// Arguments: updates a second, and to whom, as JSON: the ports of the masters, and the channels of
// the partitions, if it is a cluster.

import { once } from 'node:events'
import net from 'node:net'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { partitionOf, SLOTS, slotOf } from '../workload/partitions.mjs'
import { makeSessions } from '../workload/session.mjs'

const perSecond = Number(process.argv[2])
const { ports, channels } = JSON.parse(process.argv[3])
const messages = makeSessions(1000).map((state) => {
  const channel = channels[partitionOf(state.session_id)]
  const message = {
    sessionId: state.session_id,
    state: JSON.stringify(state),
    timestamp: Date.now(),
  }
  return { node: nodeOf(channel), bytes: publication(channel, JSON.stringify(message)) }
})
const sockets = ports.map((port) => net.connect({ port, host: '127.0.0.1', noDelay: true }))
await Promise.all(sockets.map((socket) => once(socket, 'connect')))
for (const socket of sockets) socket.resume()
process.on('disconnect', () => process.exit())
process.send('ready')

const start = performance.now()
let sent = 0
setInterval(() => {
  const due = ((performance.now() - start) * perSecond) / 1000
  const batches = sockets.map(() => '')
  for (; sent < due; sent++) {
    const { node, bytes } = messages[sent % messages.length]
    batches[node] += bytes
  }
  for (const [at, socket] of sockets.entries()) socket.write(batches[at])
}, 1)

/** The masters have equal parts of the slots. */
function nodeOf(channel) {
  if (channel === undefined) return 0
  const [, tag] = /{(.+)}/.exec(channel)
  return Math.floor((slotOf(tag) * ports.length) / SLOTS)
}

function publication(channel, message) {
  const to = channel === undefined ? ['PUBLISH', 'session-updates'] : ['SPUBLISH', channel]
  const words = [...to, message]
  return `*3\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`
}
