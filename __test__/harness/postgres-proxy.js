'use strict'

const net = require('node:net')

/**
 * A proxy to a PostgreSQL on this machine that answers what a test wants, as a pooler in trouble
 * does. Otherwise bytes go through.
 */
class PostgresProxy {
  #server
  #sockets = new Set()
  /** What it answers a start-up with, before it ends the connection. @type {Buffer | undefined} */
  refusal
  /** What replaces the server's next answer, once. @type {Buffer | undefined} */
  garbled
  /** What it says without end, in place of the server's next answer, once. @type {Buffer | undefined} */
  flood

  static async start(port) {
    const proxy = new PostgresProxy()
    proxy.#server = net.createServer((near) => proxy.#connect(near, port))
    await new Promise((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    proxy.port = proxy.#server.address().port
    return proxy
  }

  async stop() {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #connect(near, port) {
    const far = net.connect(port, '127.0.0.1')
    for (const [one, other] of [
      [near, far],
      [far, near],
    ]) {
      this.#sockets.add(one)
      one.on('error', () => {})
      one.on('close', () => {
        this.#sockets.delete(one)
        other.destroy()
      })
    }
    near.once('data', () => {
      if (this.refusal) near.end(this.refusal)
    })
    near.on('data', (bytes) => far.write(bytes))
    far.on('data', (bytes) => {
      if (this.flood) return this.#flood(near)
      const { garbled } = this
      this.garbled = undefined
      if (!near.writableEnded) near.write(garbled ?? bytes)
    })
  }

  async #flood(near) {
    const bytes = Buffer.concat(Array.from({ length: 1000 }, () => this.flood))
    this.flood = undefined
    let goOn = () => {}
    for (const event of ['drain', 'close']) near.on(event, () => goOn())
    while (!near.destroyed) {
      const isTaken = near.write(bytes)
      await new Promise((resolve) => {
        if (isTaken) setImmediate(resolve)
        else goOn = resolve
      })
    }
  }
}

/** A message of PostgreSQL: its type, and its body, or the length that it claims. */
function message(type, body = '', length = body.length + 4) {
  const header = Buffer.alloc(5)
  header.write(type)
  header.writeUInt32BE(length, 1)
  return Buffer.concat([header, Buffer.from(body)])
}

/** An error, or a notice, of PostgreSQL. */
function report(type, sqlstate, text) {
  return message(type, `SERROR\0VERROR\0C${sqlstate}\0M${text}\0\0`)
}

module.exports = { PostgresProxy, message, report }
