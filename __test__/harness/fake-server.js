'use strict'

const net = require('node:net')
const { Requests, bulk } = require('./requests.js')

/** A connection to a fake server. */
class FakeConnection {
  /** @param {net.Socket} socket @param {number} id as `CLIENT ID` tells it, from 1 */
  constructor(socket, id) {
    this.socket = socket
    this.id = id
    this.name = ''
    this.protocol = 2
    /** What was asked on it, words joined by spaces. @type {string[]} */
    this.asked = []
  }

  /** @param {string | Buffer} bytes */
  write(bytes) {
    if (!this.socket.destroyed) this.socket.write(bytes)
  }

  /** Says this over and over, as fast as it is read. @param {string} text */
  async flood(text) {
    const bytes = Buffer.from(text.repeat(Math.ceil((64 * 1024) / text.length)))
    while (!this.socket.destroyed) {
      if (this.socket.write(bytes)) await new Promise((resolve) => setImmediate(resolve))
      else await this.#drained()
    }
  }

  /** Says this a few bytes at a time. @param {Buffer} bytes @param {{ bytes: number, everyMs: number }} pace */
  async drip(bytes, { bytes: portion, everyMs }) {
    for (let at = 0; at < bytes.length && !this.socket.destroyed; at += portion) {
      this.write(bytes.subarray(at, at + portion))
      await new Promise((resolve) => setTimeout(resolve, everyMs))
    }
  }

  /** Ends the stream, behind what was written. */
  end() {
    this.socket.end()
  }

  #drained() {
    return new Promise((resolve) => {
      this.socket.once('drain', resolve)
      this.socket.once('close', resolve)
    })
  }
}

/**
 * A server that says whatever a test wants it to. Without a script it greets as Redis does, has no
 * session, and takes every write.
 */
class FakeServer {
  #server
  #answers = new Map()
  /** All connections so far. @type {FakeConnection[]} */
  connections = []

  static async start() {
    const fake = new FakeServer()
    fake.#server = net.createServer((socket) => fake.#serve(socket))
    await new Promise((resolve) => fake.#server.listen(0, '127.0.0.1', resolve))
    fake.port = fake.#server.address().port
    fake.url = `redis://127.0.0.1:${fake.port}`
    return fake
  }

  /**
   * Scripts the answer to a command.
   *
   * @param {string} command its first word, or its first two
   * @param {(connection: FakeConnection, words: Buffer[]) => string | Buffer | undefined} answer
   *   raw bytes; undefined where it answers by itself, or never
   */
  answer(command, answer) {
    this.#answers.set(command, answer)
  }

  /** How often it was asked this, by any connection. @param {RegExp} pattern */
  timesAsked(pattern) {
    return this.connections.flatMap(({ asked }) => asked).filter((text) => pattern.test(text))
      .length
  }

  async stop() {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const { socket } of this.connections) socket.destroy()
    await closed
  }

  #serve(socket) {
    const connection = new FakeConnection(socket, this.connections.length + 1)
    this.connections.push(connection)
    const requests = new Requests()
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      for (const words of requests.push(bytes)) {
        connection.asked.push(words.map(String).join(' '))
        const answer = this.#answerTo(connection, words)
        if (answer !== undefined) connection.write(answer)
      }
    })
  }

  #answerTo(connection, words) {
    const [first, second = ''] = words.map((word) => String(word).toUpperCase())
    const scripted = this.#answers.get(`${first} ${second}`) ?? this.#answers.get(first)
    return scripted ? scripted(connection, words) : this.#usual(connection, words, first, second)
  }

  #usual(connection, words, first, second) {
    const nil = connection.protocol === 3 ? '_\r\n' : '$-1\r\n'
    switch (first) {
      case 'HELLO':
        connection.protocol = Number(second || 2)
        return greeting(connection)
      case 'PING':
        return '+PONG\r\n'
      case 'GET':
        return nil
      case 'MGET':
        return `*${words.length - 1}\r\n${nil.repeat(words.length - 1)}`
      case 'EVAL':
      case 'EVALSHA':
        return ':2\r\n'
      case 'EXPIRE':
      case 'PUBLISH':
        return ':1\r\n'
      case 'CLIENT':
        return this.#client(connection, words, second)
      default:
        return '+OK\r\n'
    }
  }

  #client(connection, words, what) {
    if (what === 'ID') return `:${connection.id}\r\n`
    if (what === 'SETNAME') connection.name = String(words[2])
    if (what !== 'LIST') return '+OK\r\n'
    const open = this.connections.filter(({ socket }) => !socket.destroyed)
    return bulk(open.map(({ id, name }) => `id=${id} name=${name}\n`).join(''))
  }
}

function greeting({ protocol, id }) {
  const start = protocol === 3 ? '%7\r\n' : '*14\r\n'
  const texts = { server: 'redis', version: '7.0.15', mode: 'standalone', role: 'master' }
  const pairs = Object.entries(texts).map(([name, value]) => bulk(name) + bulk(value))
  const numbers = { proto: protocol, id }
  for (const [name, value] of Object.entries(numbers)) pairs.push(`${bulk(name)}:${value}\r\n`)
  return `${start}${pairs.join('')}${bulk('modules')}*0\r\n`
}

module.exports = { FakeServer }
