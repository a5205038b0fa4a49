// A network with distance: passes all bytes on, each way after a delay. Arguments: the port to pass
// them to, the delay in milliseconds. Its first message is its own port.

import net from 'node:net'
import { performance } from 'node:perf_hooks'
import process from 'node:process'

const [port, delayMs] = process.argv.slice(2).map(Number)

/** Longest sleep, milliseconds: what arrives during one is taken to have arrived after it. */
const SLICE_MS = 0.1

const asleep = new Int32Array(new SharedArrayBuffer(4))
/** What to do, and when. All delays are equal, so it is in order. */
const due = []

const server = net.createServer({ noDelay: true }, (near) => {
  const far = net.connect({ port, host: '127.0.0.1', noDelay: true })
  pass(near, far)
  pass(far, near)
})
server.listen(0, '127.0.0.1', () => process.send(server.address().port))
process.on('disconnect', () => process.exit())

function pass(from, to) {
  from.on('data', (bytes) => later(() => to.write(bytes)))
  from.on('error', () => {})
  from.on('close', () => later(() => to.destroy()))
}

function later(run) {
  due.push({ at: performance.now() + delayMs, run })
  if (due.length === 1) setImmediate(deliver)
}

/** Timers of Node count whole milliseconds; a blocking wait is exact, and costs no CPU. */
function deliver() {
  while (due.length > 0 && due[0].at <= performance.now()) due.shift().run()
  if (due.length === 0) return
  const waitMs = Math.min(due[0].at - performance.now(), SLICE_MS)
  if (waitMs > 0) Atomics.wait(asleep, 0, 0, waitMs)
  setImmediate(deliver)
}
