// A network with distance: passes all bytes on, each way after a delay. Arguments: the port to pass
// them to, the delay in milliseconds. Says its own port.

import net from 'node:net'
import process from 'node:process'

const [port, delayMs] = process.argv.slice(2).map(Number)

const server = net.createServer({ noDelay: true }, (near) => {
  const far = net.connect({ port, host: '127.0.0.1', noDelay: true })
  pass(near, far)
  pass(far, near)
})
server.listen(0, '127.0.0.1', () => process.send(server.address().port))
process.on('disconnect', () => process.exit())

/** Timers of the same delay run in their order. */
function pass(from, to) {
  from.on('data', (bytes) => setTimeout(() => to.write(bytes), delayMs))
  from.on('error', () => {})
  from.on('close', () => setTimeout(() => to.destroy(), delayMs))
}
