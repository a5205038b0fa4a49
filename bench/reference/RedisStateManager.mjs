import { ConcurrencyError, SessionNotFoundError } from '../../index.js'

const TTL_SECONDS = 3600
const ISO_DATE = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}/

/** The manager of services today, as far as the bench goes: ioredis, and a queue that it does not await. */
export class RedisStateManager {
  #redis
  #pubSub
  #queue

  /**
   * @param {import('ioredis').Redis} redis
   * @param {import('ioredis').Redis} [pubSub] for subscriptions
   * @param {{ queueWrite(sessionId: string, state: object, eventType: string): Promise<void> }} [queue]
   */
  constructor(redis, pubSub, queue) {
    this.#redis = redis
    this.#pubSub = pubSub
    this.#queue = queue
  }

  async getSession(sessionId) {
    const text = await this.#redis.get(`session:${sessionId}`)
    return text === null ? null : JSON.parse(text, reviveDates)
  }

  async createSession(state) {
    const now = new Date()
    await this.#write({ ...state, version: 1, created_at: now, updated_at: now }, 'session_created')
  }

  async updateSession(sessionId, state, expectedVersion) {
    if (expectedVersion !== undefined) {
      const current = await this.getSession(sessionId)
      if (current === null) throw new SessionNotFoundError(sessionId)
      if (current.version !== expectedVersion) {
        throw new ConcurrencyError(sessionId, expectedVersion, current.version)
      }
    }
    const next = { ...state, version: state.version + 1, updated_at: new Date() }
    await this.#write(next, 'session_updated')
  }

  async deleteSession(sessionId) {
    await this.#redis.del(`session:${sessionId}`)
    await this.#tell('session-updates', { sessionId, deleted: true, timestamp: Date.now() })
  }

  subscribeToUpdates(callback) {
    const listener = (_channel, text) => {
      const { sessionId, state, deleted } = JSON.parse(text)
      callback(sessionId, deleted ? null : JSON.parse(state, reviveDates))
    }
    this.#pubSub.on('message', listener)
    this.#pubSub.subscribe('session-updates')
    return () => {
      this.#pubSub.off('message', listener)
      this.#pubSub.unsubscribe('session-updates')
    }
  }

  async broadcastToSession(sessionId, message) {
    await this.#tell(`ws:${sessionId}`, { sessionId, message, timestamp: Date.now() })
  }

  subscribeToWebSocket(callback) {
    const listener = (_pattern, channel, text) => {
      callback(channel.slice('ws:'.length), JSON.parse(text).message)
    }
    this.#pubSub.on('pmessage', listener)
    this.#pubSub.psubscribe('ws:*')
    return () => {
      this.#pubSub.off('pmessage', listener)
      this.#pubSub.punsubscribe('ws:*')
    }
  }

  async close() {
    await Promise.all([this.#redis.quit(), this.#pubSub?.quit()])
  }

  async #write(state, eventType) {
    const sessionId = state.session_id
    const text = JSON.stringify(state)
    await this.#redis.setex(`session:${sessionId}`, TTL_SECONDS, text)
    await this.#tell('session-updates', { sessionId, state: text, timestamp: Date.now() })
    // A service logs it; the update has succeeded all the same.
    this.#queue?.queueWrite(sessionId, state, eventType).catch(console.error)
  }

  async #tell(channel, message) {
    await this.#redis.publish(channel, JSON.stringify(message))
  }
}

function reviveDates(_key, value) {
  return typeof value === 'string' && ISO_DATE.test(value) ? new Date(value) : value
}
