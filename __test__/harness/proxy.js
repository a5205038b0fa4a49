'use strict'

const net = require('node:net')

/**
 * A TCP proxy to a server on this machine that misbehaves on demand.
 *
 *   pass       bytes go through
 *   swallow    requests go through, answers are thrown away
 *   blackhole  nothing goes through in either direction, connections are accepted and stay open;
 *              what was held back is lost, as the connections are reset by the next mode
 *   refuse     connections are reset at once
 */
class TcpProxy {
  #server
  #pairs = new Set()
  #mode = 'pass'
  /** How many connections were made through it so far. */
  connections = 0

  static async start(targetPort) {
    const proxy = new TcpProxy()
    proxy.#server = net.createServer((near) => proxy.#connect(near, targetPort))
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
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy()
      far.resetAndDestroy()
    }
    this.#pairs.clear()
  }

  async stop() {
    this.reset()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  /** Resolves with the next request's bytes, before or after it is passed on. */
  nextRequest() {
    return new Promise((resolve) => {
      this.#onRequest = resolve
    })
  }

  #onRequest = (_bytes) => {}

  #connect(near, targetPort) {
    this.connections++
    if (this.#mode === 'refuse') {
      near.resetAndDestroy()
      return
    }
    const far = net.connect(targetPort, '127.0.0.1')
    const pair = { near, far }
    this.#pairs.add(pair)
    near.setNoDelay(true)
    far.setNoDelay(true)
    near.on('data', (bytes) => {
      if (this.#mode === 'blackhole') return
      far.write(bytes)
      this.#onRequest(bytes)
    })
    far.on('data', (bytes) => {
      if (this.#mode === 'pass') near.write(bytes)
    })
    const end = () => {
      near.destroy()
      far.destroy()
      this.#pairs.delete(pair)
    }
    for (const socket of [near, far]) {
      socket.on('error', end)
      socket.on('close', end)
    }
  }
}

module.exports = { TcpProxy }
