// Updates of a thousand sessions, at a steady rate, as all instances together publish them.
// Arguments: port of Redis, updates a second.

import { once } from 'node:events'
import net from 'node:net'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { makeSessions } from '../workload/session.mjs'

const [port, perSecond] = process.argv.slice(2).map(Number)
const messages = makeSessions(1000).map((state) =>
  publication({
    sessionId: state.session_id,
    state: JSON.stringify(state),
    timestamp: Date.now(),
  }),
)
const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
await once(socket, 'connect')
socket.resume()
process.on('disconnect', () => process.exit())
process.send('ready')

const start = performance.now()
let sent = 0
setInterval(() => {
  const due = ((performance.now() - start) * perSecond) / 1000
  let batch = ''
  for (; sent < due; sent++) batch += messages[sent % messages.length]
  socket.write(batch)
}, 1)

function publication(message) {
  const words = ['PUBLISH', 'session-updates', JSON.stringify(message)]
  return `*3\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`
}
