/** What a team writes that wants locked updates and no more: compare, SET, PUBLISH. */
export const BARE_SCRIPT = `
local stored = redis.call('GET', KEYS[1])
if not stored then return {'missing'} end
local version = cjson.decode(stored).version
if version ~= tonumber(ARGV[1]) then return {'conflict', version} end
redis.call('SET', KEYS[1], ARGV[2], 'EX', 3600)
local message = {sessionId = ARGV[3], state = ARGV[2], timestamp = tonumber(ARGV[4])}
redis.call('PUBLISH', 'session-updates', cjson.encode(message))
return version + 1`

/** The commands that update one session by the bare script, one after the other. */
export class BareUpdates {
  #sha
  #state

  constructor(sha, state) {
    this.#sha = sha
    this.#state = state
  }

  /** The next one; `done` counts the version up. */
  next() {
    const { session_id, version } = this.#state
    const document = { ...this.#state, version: version + 1, updated_at: new Date() }
    const args = [String(version), JSON.stringify(document), session_id, String(Date.now())]
    return ['EVALSHA', this.#sha, '1', `session:${session_id}`, ...args]
  }

  done() {
    this.#state.version++
  }
}
