'use strict'

const net = require('node:net')
const { Line } = require('./line.js')
const { Requests, requestOf } = require('./requests.js')

/**
 * A TCP proxy to a server on this machine that misbehaves on demand.
 *
 *   pass       bytes go through
 *   swallow    requests go through, answers are thrown away; a connection that has lost one
 *              answer delivers none any more, whatever comes after
 *   blackhole  nothing goes through in either direction, connections are accepted and stay open;
 *              what was held back is lost, as the connections are reset by the next mode
 *   refuse     connections are reset at once
 */
class TcpProxy {
  #server
  #pairs = new Set()
  #mode = 'pass'
  /** @type {{ text: string, caught: (held: Held) => void } | undefined} */
  #trap
  /** What is left out of answers: of each piece of one, whatever this matches. @type {RegExp | undefined} */
  omitted
  /** What becomes of each request, as a list of words. @type {((words: Buffer[]) => (Buffer | string)[]) | undefined} */
  rewritten
  /** How requests travel: at once, unless told otherwise. */
  requests = new Line()
  /** How answers travel. */
  answers = new Line()
  /** The port to which new connections lead. */
  target
  /** How many connections were made through it so far. */
  connections = 0

  static async start(targetPort) {
    const proxy = new TcpProxy()
    proxy.target = targetPort
    proxy.#server = net.createServer((near) => proxy.#connect(near))
    await new Promise((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    proxy.port = proxy.#server.address().port
    proxy.url = `redis://127.0.0.1:${proxy.port}`
    return proxy
  }

  get mode() {
    return this.#mode
  }

  set mode(mode) {
    if (this.#mode === 'blackhole' && mode !== 'blackhole') this.reset()
    this.#mode = mode
  }

  /** Resets all connections, as a machine does that went away. */
  reset() {
    this.requests.cut()
    this.answers.cut()
    for (const { near, far } of this.#pairs) {
      resetSocket(near)
      resetSocket(far)
    }
    this.#pairs.clear()
  }

  /** The connections of this moment fall silent for ever and stay open; new ones work. */
  strand() {
    for (const pair of this.#pairs) pair.stranded = true
  }

  /**
   * Resolves when a request comes that holds this text. It and what follows on its connection
   * is held back until `release()`, and reaches the server then even if its sender has left.
   *
   * @returns {Promise<{ release: () => void }>}
   */
  hold(text) {
    return new Promise((caught) => {
      this.#trap = { text, caught }
    })
  }

  async stop() {
    this.#mode = 'refuse'
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.reset()
    await closed
  }

  #connect(near) {
    this.connections++
    near.on('error', () => {})
    if (this.#mode === 'refuse') {
      resetSocket(near)
      return
    }
    const far = net.connect(this.target, '127.0.0.1')
    const pair = { near, far, stranded: false, deaf: false, held: undefined, requests: undefined }
    this.#pairs.add(pair)
    near.setNoDelay(true)
    far.setNoDelay(true)
    const silent = () => pair.stranded || this.#mode === 'blackhole'
    near.on('data', (bytes) => {
      if (silent()) return
      if (this.#trap && bytes.includes(this.#trap.text)) {
        const { caught } = this.#trap
        this.#trap = undefined
        pair.held = []
        caught({ release: () => this.#release(pair) })
      }
      if (pair.held) pair.held.push(bytes)
      else this.requests.carry(near, far, this.#asRewritten(pair, bytes))
    })
    far.on('data', (bytes) => {
      if (silent()) return
      pair.deaf ||= this.#mode === 'swallow'
      if (!pair.deaf) this.answers.carry(far, near, this.#withoutOmitted(bytes))
    })
    // The end of one side is the end of the other, unless news of it could not have got through.
    far.on('error', () => {})
    near.on('close', () => {
      if (silent() || pair.held) return
      this.requests.behind(() => far.destroy())
      this.#pairs.delete(pair)
    })
    far.on('close', () => {
      if (silent()) return
      this.answers.behind(() => near.destroy())
      this.#pairs.delete(pair)
    })
  }

  /** A connection is taken to be between two requests when `rewritten` is set. */
  #asRewritten(pair, bytes) {
    if (!this.rewritten && !pair.requests) return bytes
    pair.requests ??= new Requests()
    const rewrite = this.rewritten ?? ((words) => words)
    const requests = pair.requests.push(bytes)
    return Buffer.concat(requests.map((words) => requestOf(rewrite(words))))
  }

  #withoutOmitted(bytes) {
    if (!this.omitted) return bytes
    return Buffer.from(bytes.toString('latin1').replaceAll(this.omitted, ''), 'latin1')
  }

  #release(pair) {
    for (const bytes of pair.held ?? []) if (!pair.far.destroyed) pair.far.write(bytes)
    pair.held = undefined
    if (pair.near.destroyed) pair.far.end()
  }
}

/**
 * Node (20 at least) loses track of a socket that is reset while its end is on its way, and then
 * spins for ever in place of exiting.
 */
function resetSocket(socket) {
  if (socket.destroyed) return
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}

/** @typedef {{ release: () => void }} Held */

module.exports = { TcpProxy }
