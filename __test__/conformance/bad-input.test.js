'use strict'

const { InvalidStateError } = require('../../index.js')
const { engines } = require('../harness/engines.js')
const { expectInvalid, refusalOf, thrownBy } = require('../harness/refusal.js')
const { makeState } = require('../harness/sessions.js')
const { until } = require('../harness/until.js')

const ID = 'session-1'

describe.each(engines)('$engine', ({ use }) => {
  const store = use()
  let manager
  beforeEach(async () => {
    manager = store.open()
    await manager.createSession(makeState({ session_id: ID }))
  })

  /** The refusal of a call, which has changed nothing and told nobody anything. */
  async function refusalWithoutEffect(call) {
    const before = await manager.getSession(ID)
    const heard = await store.listen()
    const error = await refusalOf(call)
    expect(await manager.getSession(ID)).toEqual(before)
    await manager.deleteSession('the end')
    await until(() => heard.length > 0)
    expect(heard[0][0]).toBe('the end')
    expectInvalid(error)
    return error
  }

  describe('a session id', () => {
    const methods = [
      ['getSession', (id) => manager.getSession(id)],
      ['getSessions', (id) => manager.getSessions([ID, id])],
      ['createSession', (id) => manager.createSession(makeState({ session_id: id }))],
      ['updateSession', (id) => manager.updateSession(id, makeState({ session_id: id }))],
      ['locked updateSession', (id) => manager.updateSession(id, makeState({ session_id: id }), 1)],
      ['deleteSession', (id) => manager.deleteSession(id)],
      ['touchSession', (id) => manager.touchSession(id)],
      ['modifySession', (id) => manager.modifySession(id, (state) => state)],
      ['broadcastToSession', (id) => manager.broadcastToSession(id, 1)],
    ]
    const ids = [
      ['empty', ''],
      ['undefined', undefined],
      ['null', null],
      ['a number', 5],
      ['an object', { id: ID }],
      ['a String object', new String(ID)],
      ['of 513 bytes', 'x'.repeat(513)],
      ['of 257 characters and 514 bytes', 'é'.repeat(257)],
      ['half a surrogate pair', 'x\ud83e'],
    ]

    describe.each(methods)('for %s', (_name, call) => {
      it.each(ids)('that is %s is refused', async (_what, id) => {
        expect((await refusalWithoutEffect(() => call(id))).field).toBe('session_id')
      })
    })

    it.each(['x'.repeat(512), 'é'.repeat(256), ' ', 'a b\n*', '\0'])(
      'such as %j is taken',
      async (id) => {
        await manager.createSession(makeState({ session_id: id }))
        await manager.updateSession(id, makeState({ session_id: id }), 1)
        expect(await manager.getSession(id)).toMatchObject({ session_id: id, version: 2 })
        await manager.deleteSession(id)
        expect(await manager.getSession(id)).toBeNull()
      },
    )

    it('is refused where getSessions gets no list', async () => {
      for (const ids of [undefined, null, ID, { 0: ID, length: 1 }]) {
        expect((await refusalWithoutEffect(() => manager.getSessions(ids))).field).toBe(
          'session_id',
        )
      }
    })
  })

  describe('a state', () => {
    const without = (field) => {
      const { [field]: _, ...rest } = makeState({ session_id: ID })
      return rest
    }
    const having = (fields) => makeState({ session_id: ID, ...fields })
    const cyclic = () => {
      const state = having({})
      state.within = { list: [state] }
      return state
    }
    const throwing = () => ({
      get secret() {
        throw new Error('mine')
      },
    })
    const revoked = () => {
      const { proxy, revoke } = Proxy.revocable({}, {})
      revoke()
      return proxy
    }
    const states = [
      ['undefined', 'state', () => undefined],
      ['null', 'state', () => null],
      ['a string', 'state', () => 'text'],
      ['a number', 'state', () => 5],
      ['a function', 'state', () => () => {}],
      ['without session_id', 'session_id', () => without('session_id')],
      ['with a session_id that is a number', 'session_id', () => having({ session_id: 5 })],
      ['without participants', 'participants', () => without('participants')],
      ['with participants that are an object', 'participants', () => having({ participants: {} })],
      ['with participants that are null', 'participants', () => having({ participants: null })],
      ['without sync_mode', 'sync_mode', () => without('sync_mode')],
      ['of an unknown sync_mode', 'sync_mode', () => having({ sync_mode: 'PER_CYCLE' })],
      ['of a sync_mode that is no string', 'sync_mode', () => having({ sync_mode: 0 })],
      ['without status', 'status', () => without('status')],
      ['of an unknown status', 'status', () => having({ status: 'constructor' })],
      ['with a version that is a string', 'version', () => having({ version: '1' })],
      ['with a version that is a fraction', 'version', () => having({ version: 1.5 })],
      ['with a negative version', 'version', () => having({ version: -1 })],
      [
        'with an invalid date',
        'cycle_started_at',
        () => having({ cycle_started_at: new Date('x') }),
      ],
      [
        'with an invalid date in a participant',
        'participants[1].joined_at',
        () => having({ participants: [{}, { joined_at: new Date(Number.NaN) }] }),
      ],
      ['with a cycle', 'within.list[0]', cyclic],
      ['with a BigInt', 'count', () => having({ count: 5n })],
      [
        'with a BigInt in a participant',
        'participants[0].n',
        () => having({ participants: [{ n: 1n }] }),
      ],
      ['with a getter that throws', 'state', () => having({ within: throwing() })],
      ['that cannot be listed', 'state', () => having({ within: revoked() })],
      ['over maxStateBytes', 'state', () => having({ note: 'x'.repeat(1 << 20) })],
      [
        'whose fields are inherited',
        'session_id',
        () => Object.assign(Object.create(having({})), { status: 'paused' }),
      ],
      [
        'whose participants are not enumerable',
        'participants',
        () => Object.defineProperty(having({}), 'participants', { enumerable: false }),
      ],
      [
        'whose toJSON() leaves its fields out',
        'session_id',
        () => ({ ...having({}), toJSON: () => ({ version: 2, a: 1 }) }),
      ],
    ]

    it.each(states)(
      '%s is refused by its field %s, whatever writes it',
      async (_what, field, make) => {
        for (const call of [
          () => manager.createSession(make()),
          () => manager.createSession(make(), { ifAbsent: true }),
          () => manager.updateSession(ID, make()),
          () => manager.updateSession(ID, make(), 1),
        ]) {
          expect((await refusalWithoutEffect(call)).field).toBe(field)
        }
        // This one has to read before it can know.
        const before = await manager.getSession(ID)
        if (make() === undefined) return // There it says that nothing is to be written.
        const error = await refusalOf(() => manager.modifySession(ID, make))
        expect(error).toBeInstanceOf(InvalidStateError)
        expect(error.field).toBe(field)
        expect(await manager.getSession(ID)).toEqual(before)
      },
    )

    it('that is a list is refused', async () => {
      expect((await refusalWithoutEffect(() => manager.updateSession(ID, []))).field).toBe('state')
      await refusalWithoutEffect(() => manager.createSession([]))
    })

    it('whose session_id differs from the argument is refused', async () => {
      for (const expected of [undefined, 1]) {
        const call = () => manager.updateSession(ID, having({ session_id: 'session-2' }), expected)
        expect((await refusalWithoutEffect(call)).field).toBe('session_id')
      }
    })

    it('is not part of the message, nor what is wrong in it', async () => {
      const state = having({ status: 'secret-status', note: 'secret-note' })
      const error = await refusalWithoutEffect(() => manager.createSession(state))
      expect(error.message).not.toContain('secret')
    })

    it('of less than a MiB is taken', async () => {
      const state = having({ note: 'x'.repeat((1 << 20) - 5000) })
      await manager.updateSession(ID, state, 1)
      expect((await manager.getSession(ID)).note).toBe(state.note)
    })
  })

  describe('an expected version', () => {
    it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '1', null, true, 1n, {}])(
      'that is %p is refused',
      async (expected) => {
        const state = await manager.getSession(ID)
        const error = await refusalWithoutEffect(() => manager.updateSession(ID, state, expected))
        expect(error.field).toBe('expectedVersion')
        expect(error.sessionId).toBe(ID)
      },
    )
  })

  describe('a callback', () => {
    it.each([undefined, null, 'text', {}])('that is %p is refused with a throw', (callback) => {
      for (const method of ['subscribeToUpdates', 'subscribeToWebSocket']) {
        const error = thrownBy(() => manager[method](callback))
        expect(error).toBeInstanceOf(InvalidStateError)
        expect(error).toMatchObject({ field: 'callback', code: 'INVALID_STATE' })
      }
    })

    it.each([undefined, null, 'text', {}])('of modifySession that is %p is refused', async (fn) => {
      const error = await refusalWithoutEffect(() => manager.modifySession(ID, fn))
      expect(error).toMatchObject({ field: 'fn', sessionId: ID })
    })

    it.each([-1, 1.5, '3', Number.NaN, null])('has no %p retries', async (retries) => {
      const call = () => manager.modifySession(ID, (state) => state, { retries })
      expect((await refusalWithoutEffect(call)).field).toBe('retries')
    })
  })

  describe('a message', () => {
    const cycle = {}
    cycle.self = cycle
    it.each([
      ['undefined', undefined],
      ['a function', () => {}],
      ['a BigInt', { n: 1n }],
      ['a cycle', cycle],
    ])('that is %s is refused', async (_what, message) => {
      const error = await refusalWithoutEffect(() => manager.broadcastToSession(ID, message))
      expect(error).toMatchObject({ field: 'message', sessionId: ID })
    })
  })
})
