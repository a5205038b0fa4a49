import { Readable } from 'node:stream'
import { SessionNotFoundError } from '../errors/StateErrors'
import type { RedisStateManager } from '../state/RedisStateManager'

/** A browser that does not read is disconnected at this many unread bytes; it connects again. */
const MAX_BACKLOG_BYTES = 1024 * 1024
/** Proxies close connections that are silent for long. */
const HEARTBEAT_MS = 15_000

/**
 * The browsers that watch a session, as streams of server-sent events: `update` (the state),
 * `deleted`, and `message` (what `broadcastToSession` sent). Subscribes once, for all of them.
 */
export class SessionStreams {
  readonly #manager: RedisStateManager
  readonly #watchers = new Map<string, Set<Readable>>()
  #closed = false

  constructor(manager: RedisStateManager) {
    this.#manager = manager
    manager.subscribeToUpdates((sessionId, state) => {
      this.#tell(sessionId, event(state ? 'update' : 'deleted', state))
    })
    manager.subscribeToWebSocket((sessionId, message) => {
      this.#tell(sessionId, event('message', message))
    })
  }

  /**
   * A stream that begins with the state as it is now.
   *
   * @throws {SessionNotFoundError} if there is no such session
   */
  async open(sessionId: string): Promise<Readable> {
    // Watch before reading, so that no update is missed in between.
    const stream = this.#watch(sessionId)
    try {
      const state = await this.#manager.getSession(sessionId)
      if (!state) throw new SessionNotFoundError(sessionId)
      // An update that was heard meanwhile is as new, or a newer one is on its way.
      if (stream.readableLength === 0) this.#push(stream, event('update', state))
    } catch (error) {
      stream.destroy()
      throw error
    }
    const heartbeat = setInterval(() => this.#push(stream, ': still here\n\n'), HEARTBEAT_MS)
    stream.once('close', () => clearInterval(heartbeat))
    return stream
  }

  /** Ends all streams: a server does not close before its answers have ended. */
  close() {
    this.#closed = true
    for (const watchers of this.#watchers.values()) {
      for (const stream of watchers) stream.push(null)
    }
  }

  #watch(sessionId: string): Readable {
    const stream = new Readable({ read() {} })
    const watchers = this.#watchers.get(sessionId) ?? new Set()
    this.#watchers.set(sessionId, watchers.add(stream))
    stream.once('close', () => {
      watchers.delete(stream)
      if (watchers.size === 0) this.#watchers.delete(sessionId)
    })
    return stream
  }

  #tell(sessionId: string, text: string) {
    for (const stream of this.#watchers.get(sessionId) ?? []) this.#push(stream, text)
  }

  #push(stream: Readable, text: string) {
    if (this.#closed) return
    if (stream.readableLength > MAX_BACKLOG_BYTES) stream.destroy()
    else stream.push(text)
  }
}

function event(name: string, data: unknown) {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}
