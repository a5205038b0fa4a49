// The costs that docs/scale.md reckons with, besides those of `--cluster`: what grows with the number of
// listeners, of workers and of masters.
//
//   node bench/scale.mjs             some 3 minutes
//   node bench/scale.mjs --smoke     a moment: whether everything can be measured

import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import process from 'node:process'
import { ClusterGroup } from '../__test__/harness/cluster.js'
import { RedisServer } from '../__test__/harness/redis.js'
import { table } from '../demo/table.mjs'
import { OURS } from './contenders/index.mjs'
import { withCpuOf } from './measures/node-cpu.mjs'
import { summarize } from './measures/statistics.mjs'
import { availableModes } from './modes.mjs'
import { ContenderProcess } from './processes/ContenderProcess.mjs'
import { makeSession } from './workload/session.mjs'

const LEASES = new URL('../src/redis/records/scripts/leases.lua', import.meta.url)
const CHANNEL = 'session-updates:{40821}'

const isSmoke = process.argv.includes('--smoke')
const short = isSmoke ? 20 : 1
const LISTENERS = [0, 1, 10, 100, 500]
const WORKERS = [2, 64, 200, 1000]
const MASTERS = isSmoke ? [1, 3] : [1, 3, 6, 12, 24]
const CALLS = [
  { operation: 'get', inFlight: 1 },
  { operation: 'get', inFlight: 64 },
  { operation: 'get', inFlight: 256 },
  { operation: 'update', inFlight: 1 },
  { operation: 'update', inFlight: 64 },
].map((cell) => ({ ...cell, participants: 2 }))
const ROUNDS = isSmoke ? 1 : 9
const TURN_MS = isSmoke ? 10 : 150

const tenths = (value) => value.toFixed(1)

await withServer(listeners)
await withServer(workers)
await masters()

async function withServer(measure) {
  const server = await RedisServer.start()
  try {
    await measure(server, server.client())
  } finally {
    await server.stop()
  }
}

/** A published session, by how many connections listen to its channel. */
async function listeners(server, client) {
  const message = JSON.stringify({ sessionId: '', state: JSON.stringify(makeSession()) })
  const publish = encode('SPUBLISH', CHANNEL, message)
  const sockets = []
  const rows = []
  for (const count of LISTENERS) {
    while (sockets.length < count) {
      const socket = await connect(server)
      socket.write(encode('SSUBSCRIBE', CHANNEL))
      await once(socket, 'data')
      sockets.push(socket)
    }
    const publisher = await connect(server)
    const messages = Math.ceil(20_000 / Math.max(1, count / 10) / short)
    const { redisCpu } = await withCpuOf([client], async () => {
      for (let sent = 0; sent < messages; sent++) {
        publisher.write(publish)
        await once(publisher, 'data')
      }
      return { count: messages }
    })
    publisher.destroy()
    rows.push([String(count), tenths(redisCpu)])
  }
  for (const socket of sockets) socket.destroy()
  console.log(
    table([`listeners to messages of ${message.length} bytes`, 'Redis µs a message'], rows),
  )
}

/** An announcement of an audit worker's lane, by how many lanes there are. */
async function workers(_server, client) {
  const sha = await client.script('LOAD', fs.readFileSync(LEASES, 'utf8'))
  const announce = (name, ...partitions) =>
    client.evalsha(sha, 2, 'workers', 'leases', name, 3_600_000, ...partitions)
  const rows = []
  for (const count of WORKERS) {
    await client.flushall()
    const names = Array.from({ length: count }, () => randomUUID())
    for (const name of names) await announce(name)
    for (let number = 0; number < 64; number++) await announce(names[number % count], `+${number}`)
    const { redisCpu } = await withCpuOf([client], async () => {
      const calls = Math.ceil(2000 / short)
      for (let made = 0; made < calls; made++) await announce(names[made % count])
      return { count: calls }
    })
    rows.push([String(count), tenths(redisCpu)])
  }
  console.log(table(['lanes of audit workers, 64 partitions', 'Redis µs an announcement'], rows))
}

/** A call of this module, by the number of masters that its sessions are spread over. */
async function masters() {
  const { contenders } = availableModes().modes.at(-1)
  const rows = []
  for (const count of MASTERS) {
    const group = await ClusterGroup.start({ masters: count, replicas: 0, appends: false })
    const nodes = group.nodes.map(({ host, port }) => ({ host, port }))
    const contender = await ContenderProcess.open(OURS, { redis: { nodes } }, contenders)
    try {
      for (const cell of CALLS) rows.push([String(count), ...(await costOf(contender, cell))])
    } finally {
      await contender.close()
      await group.stop()
    }
  }
  console.log(table(['masters', 'call', 'in flight', 'CPU µs', 'JS µs'], rows))
}

async function costOf(contender, cell) {
  await contender.turn(cell, 2 * TURN_MS) // Until it is warm.
  const turns = []
  for (let round = 0; round < ROUNDS; round++) turns.push(await contender.turn(cell, TURN_MS))
  const of = (figure) => tenths(summarize(turns.map((turn) => turn[figure])).median)
  return [cell.operation, String(cell.inFlight), of('cpu'), of('jsCpu')]
}

async function connect({ host, port }) {
  const socket = net.connect({ host, port, noDelay: true })
  await once(socket, 'connect')
  return socket.resume()
}

function encode(...words) {
  const text = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)
  return `*${words.length}\r\n${text.join('')}`
}
