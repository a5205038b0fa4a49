'use strict'

const {
  RedisReplyError,
  RedisUnavailableError,
  StateDeserializationError,
  createRedisClient,
} = require('../index.js')
const { FakeServer } = require('./harness/fake-server.js')
const { Managers } = require('./harness/managers.js')
const { refusalOf } = require('./harness/refusal.js')
const { makeState } = require('./harness/sessions.js')

/** What Redis 6.2 puts around an error that a script meets. */
const MET = 'ERR Error running script (call to f_9e0a52ab1b1c4b5a4bd4d6c1c9f4d3a5b6c7d8e9):'
const refusedIn62 = (error) => `-${MET} @user_script:1: @user_script: 1: -${error}\r\n`
const failedIn62 = (error) => `-${MET} @user_script:5: ${error}\r\n`

const READONLY = "READONLY You can't write against a read only replica."
const WRONGTYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value'

let fake
const managers = new Managers()

beforeEach(async () => {
  fake = await FakeServer.start()
})

afterEach(async () => {
  await managers.close()
  await fake.stop()
})

/** Scripts the answers to all writes. */
function answerWrites(answer) {
  fake.answer('EVAL', answer)
  fake.answer('EVALSHA', answer)
}

const WRITES = {
  'an unlocked update': (manager, state) => manager.updateSession(state.session_id, state),
  'a locked update': (manager, state) => manager.updateSession(state.session_id, state, 1),
  'a create': (manager, state) => manager.createSession(state),
  'a deletion': (manager, state) => manager.deleteSession(state.session_id),
}

describe('Redis 6.2 wraps the error that a script meets', () => {
  it.each(Object.keys(WRITES))(
    '%s that meets a replica is made on another connection',
    async (name) => {
      answerWrites(({ id }) => (id === 1 ? refusedIn62(READONLY) : ':2\r\n'))
      await WRITES[name](managers.open(fake.url), makeState())
      expect(fake.connections.length).toBeGreaterThan(1)
    },
  )

  it('a replica that stays one is what the error says, and nothing has changed', async () => {
    answerWrites(() => refusedIn62(READONLY))
    const state = makeState()
    const manager = managers.open(fake.url, { commandTimeoutMs: 800 })
    const error = await refusalOf(() => manager.updateSession(state.session_id, state, 1))
    expect(error).toBeInstanceOf(RedisUnavailableError)
    expect(error.message).toContain('READONLY')
  })

  it.each([
    'NOREPLICAS Not enough good replicas to write.',
    'MISCONF Redis is configured to save RDB snapshots',
  ])('a write that cannot be taken now is tried again on the same connection: %s', async (line) => {
    let tries = 0
    answerWrites(() => (++tries > 2 ? ':2\r\n' : refusedIn62(line)))
    const state = makeState()
    await managers.open(fake.url).updateSession(state.session_id, state)
    expect(tries).toBe(3)
    expect(fake.connections).toHaveLength(1)
  })

  it.each(['an unlocked update', 'a locked update'])(
    '%s of what is no session says so',
    async (name) => {
      answerWrites(() => failedIn62(WRONGTYPE))
      const state = makeState()
      const error = await refusalOf(() => WRITES[name](managers.open(fake.url), state))
      expect(error).toBeInstanceOf(StateDeserializationError)
      expect(error.sessionId).toBe(state.session_id)
      expect(fake.connections).toHaveLength(1)
    },
  )

  it('a full memory is told in words that begin as on 7', async () => {
    answerWrites(() => refusedIn62("OOM command not allowed when used memory > 'maxmemory'."))
    const state = makeState()
    const error = await refusalOf(() =>
      managers.open(fake.url).updateSession(state.session_id, state),
    )
    expect(error).toBeInstanceOf(RedisReplyError)
    expect(error.message).toContain("OOM command not allowed when used memory > 'maxmemory'.")
  })

  it('call() gets it as it is, once', async () => {
    answerWrites(() => refusedIn62(READONLY))
    const client = managers.keep(createRedisClient(fake.url))
    const error = await refusalOf(() => client.call('EVAL', "redis.call('INCR', 'k')", 0))
    expect(error).toBeInstanceOf(RedisReplyError)
    expect(`-${error.message}\r\n`).toBe(refusedIn62(READONLY))
    expect(fake.timesAsked(/^EVAL/)).toBe(1)
  })
})
