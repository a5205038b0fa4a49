'use strict'

/**
 * An instance that runs today, as `docs/design.md` describes it: hand-written ioredis code,
 * with nothing of this module in it.
 */
class OldInstance {
  constructor(redis, subscriber) {
    this.redis = redis
    this.subscriber = subscriber
  }

  async getSession(sessionId) {
    const text = await this.redis.get(`session:${sessionId}`)
    return text === null ? null : JSON.parse(text, reviveDates)
  }

  async createSession(state) {
    const now = new Date()
    const written = { ...state, version: 1, created_at: now, updated_at: now }
    await this.#write(written)
  }

  async updateSession(sessionId, state, expectedVersion) {
    if (expectedVersion !== undefined) {
      const current = await this.getSession(sessionId)
      if (current === null) throw new Error(`Session ${sessionId} not found`)
      if (current.version !== expectedVersion) throw new Error('Concurrent modification')
    }
    await this.#write({ ...state, version: state.version + 1, updated_at: new Date() })
  }

  async deleteSession(sessionId) {
    await this.redis.del(`session:${sessionId}`)
    const message = { sessionId, deleted: true, timestamp: Date.now() }
    await this.redis.publish('session-updates', JSON.stringify(message))
  }

  async subscribeToUpdates(callback) {
    this.subscriber.on('message', (channel, text) => {
      if (channel !== 'session-updates') return
      const message = JSON.parse(text)
      if (message.deleted) callback(message.sessionId, null)
      else callback(message.sessionId, JSON.parse(message.state, reviveDates))
    })
    await this.subscriber.subscribe('session-updates')
  }

  async subscribeToWebSocket(callback) {
    this.subscriber.on('pmessage', (_pattern, channel, text) => {
      callback(channel.slice('ws:'.length), JSON.parse(text).message)
    })
    await this.subscriber.psubscribe('ws:*')
  }

  async broadcastToSession(sessionId, message) {
    const envelope = { sessionId, message, timestamp: Date.now() }
    await this.redis.publish(`ws:${sessionId}`, JSON.stringify(envelope))
  }

  async #write(state) {
    const text = JSON.stringify(state)
    await this.redis.setex(`session:${state.session_id}`, 3600, text)
    const message = { sessionId: state.session_id, state: text, timestamp: Date.now() }
    await this.redis.publish('session-updates', JSON.stringify(message))
  }
}

function reviveDates(_key, value) {
  return typeof value === 'string' && /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}/.test(value)
    ? new Date(value)
    : value
}

module.exports = { OldInstance }
