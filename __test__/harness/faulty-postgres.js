'use strict'

const net = require('node:net')

/** `AuthenticationOk`: the server accepts every client. */
const LET_IN = message('R', [0, 0, 0, 0])

/** What a server sends that does not keep to PostgreSQL's protocol, once a client is let in. */
const FAULTS = {
  'an empty ReadyForQuery': (socket) => socket.write(message('Z', [])),
  'an empty Authentication': (socket) => socket.write(message('R', [])),
  'a message of length 0': (socket) => socket.write(Buffer.from([0x5a, 0, 0, 0, 0])),
  'notices without end': (socket) => {
    const notices = Buffer.concat(Array(1000).fill(message('N', [0])))
    const send = () => {
      if (!socket.destroyed) socket.write(notices, () => setImmediate(send))
    }
    send()
  },
}

/** In front of a real PostgreSQL: answers by itself while there is a `fault`. */
class FaultyPostgres {
  #server
  #sockets = new Set()
  /** One of `FAULTS`, by name; undefined: the real server answers. */
  fault
  /** How many connections met a fault. */
  met = 0

  /** @param {string} url of a database */
  static async start(url) {
    const faulty = new FaultyPostgres()
    const own = new URL(url)
    const port = Number(own.port)
    faulty.#server = net.createServer((socket) => faulty.#connect(socket, port))
    await new Promise((resolve) => faulty.#server.listen(0, '127.0.0.1', resolve))
    own.port = faulty.#server.address().port
    faulty.url = own.href
    return faulty
  }

  #connect(socket, port) {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => this.#sockets.delete(socket))
    if (this.fault === undefined) {
      const real = net.connect(port, '127.0.0.1')
      real.on('error', () => {})
      real.on('close', () => socket.destroy())
      socket.on('close', () => real.destroy())
      socket.pipe(real).pipe(socket)
      return
    }
    const { fault } = this
    socket.once('data', () => {
      this.met++
      socket.write(LET_IN)
      FAULTS[fault](socket)
    })
  }

  async close() {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
}

/** A message of PostgreSQL's protocol. */
function message(type, body) {
  const length = Buffer.alloc(4)
  length.writeInt32BE(4 + body.length)
  return Buffer.concat([Buffer.from(type), length, Buffer.from(body)])
}

module.exports = { FAULTS, FaultyPostgres }
