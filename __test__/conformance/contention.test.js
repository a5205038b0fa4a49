'use strict'

const { ClosedError, ConcurrencyError, RedisUnavailableError } = require('../..')
const { recordingLogger } = require('../harness/recording-logger.js')
const { refusalOf } = require('../harness/refusal.js')
const { counterOf, increment, makeState } = require('../harness/sessions.js')
const { until } = require('../harness/until.js')
const { engines } = require('../harness/engines.js')

describe.each(engines)('$engine', ({ use }) => {
  const store = use()

  const open = (options) => store.open(options)
  const stored = (id) => open().getSession(id)
  const never = () => new Promise(() => {})

  /** How these promises end: how many did well, and why the others did not. */
  async function endsOf(calls) {
    const ends = await Promise.allSettled(calls)
    const errors = ends.filter(({ status }) => status === 'rejected').map(({ reason }) => reason)
    return { done: ends.length - errors.length, errors }
  }

  describe('200 writers of one session', () => {
    test.each([
      ['one manager', 1, {}],
      ['one manager with a cache', 1, { cache: {} }],
      ['four managers', 4, {}],
      ['four managers with a cache', 4, { cache: {} }],
      ['forty managers', 40, {}],
    ])('on %s: each increments once', async (_what, count, options) => {
      const some = Array.from({ length: count }, () => open(options))
      const id = await counterOf(some[0])
      const calls = Array.from({ length: 200 }, (_, n) =>
        some[n % count].modifySession(id, increment),
      )
      expect(await endsOf(calls)).toEqual({ done: 200, errors: [] })
      expect(await stored(id)).toMatchObject({ version: 201, count: 200 })
    })
  })

  describe('callers of one manager', () => {
    test('have their turns in the order of their calls, one at a time', async () => {
      const manager = open()
      const id = await counterOf(manager)
      const order = []
      let running = 0
      const calls = Array.from({ length: 10 }, (_, n) =>
        manager.modifySession(id, async (state) => {
          expect(++running).toBe(1)
          await manager.getSession('another')
          running--
          order.push(n)
          return increment(state)
        }),
      )
      await Promise.all(calls)
      expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    })

    test('of different sessions do not wait for each other', async () => {
      const manager = open()
      const [one, other] = [await counterOf(manager), await counterOf(manager)]
      manager.modifySession(one, never)
      const started = performance.now()
      await manager.modifySession(other, increment)
      expect(performance.now() - started).toBeLessThan(500)
    })

    test('have their turn after a callback that fails', async () => {
      const manager = open()
      const id = await counterOf(manager)
      const failing = refusalOf(() =>
        manager.modifySession(id, () => {
          throw new RangeError('mine')
        }),
      )
      const started = performance.now()
      await manager.modifySession(id, increment)
      expect(performance.now() - started).toBeLessThan(500)
      expect(await failing).toBeInstanceOf(RangeError)
    })

    test('get along with callbacks that never return, within their own time', async () => {
      const logger = recordingLogger()
      const manager = open({ commandTimeoutMs: 2000, logger })
      const id = await counterOf(manager)
      for (let n = 0; n < 3; n++) manager.modifySession(id, never)
      const started = performance.now()
      const calls = Array.from({ length: 20 }, () => manager.modifySession(id, increment))
      expect(await endsOf(calls)).toEqual({ done: 20, errors: [] })
      expect(performance.now() - started).toBeLessThan(2000)
      const warned = logger.told.warn.filter(({ sessionId }) => sessionId === id)
      expect(warned.length).toBeGreaterThan(0)
      expect(warned[0].message).toContain('modifySession')
    })

    test('may modify the same session within a callback', async () => {
      const manager = open({ commandTimeoutMs: 2000 })
      const id = await counterOf(manager)
      const within = []
      const started = performance.now()
      const written = await manager.modifySession(id, async (state) => {
        if (within.length === 0) within.push(await manager.modifySession(id, increment))
        return increment(state)
      })
      expect(performance.now() - started).toBeLessThan(300)
      expect([within[0].count, written.count]).toEqual([1, 2])
    })

    test('that modify the same session later within a callback wait for a moment only', async () => {
      const logger = recordingLogger()
      const manager = open({ commandTimeoutMs: 2000, logger })
      const id = await counterOf(manager)
      let nested = 0
      const written = await manager.modifySession(id, async (state) => {
        await manager.getSession(id)
        if (nested++ === 0) await manager.modifySession(id, increment)
        return increment(state)
      })
      expect(written.count).toBe(2)
      expect(logger.told.warn.map(({ sessionId }) => sessionId)).toContain(id)
    })

    test('that wait are as many as may be in flight', async () => {
      const manager = open({ maxInFlight: 5 })
      const id = await counterOf(manager)
      let release
      const held = new Promise((resolve) => {
        release = resolve
      })
      const first = manager.modifySession(id, async (state) => {
        await held
        return increment(state)
      })
      const waiting = Array.from({ length: 5 }, () => manager.modifySession(id, increment))
      expect(await refusalOf(() => manager.modifySession(id, increment))).toBeInstanceOf(
        RedisUnavailableError,
      )
      release()
      // A caller that has its turn makes calls like any other.
      const { done } = await endsOf([first, ...waiting])
      expect(done).toBeGreaterThan(0)
    })

    test('that wait end when the manager is closed', async () => {
      const manager = open()
      const id = await counterOf(manager)
      manager.modifySession(id, never)
      const waiting = Array.from({ length: 3 }, () =>
        refusalOf(() => manager.modifySession(id, increment)),
      )
      await manager.getSession(id)
      const started = performance.now()
      await manager.close()
      for (const error of await Promise.all(waiting)) expect(error).toBeInstanceOf(ClosedError)
      const late = await refusalOf(() => manager.modifySession(id, increment))
      expect(late).toBeInstanceOf(ClosedError)
      expect(performance.now() - started).toBeLessThan(500)
    })

    test('that come after the end wait for nobody', async () => {
      const manager = open()
      const id = await counterOf(manager)
      manager.modifySession(id, never)
      await manager.close()
      const error = await refusalOf(() => manager.modifySession(id, increment))
      expect(error).toBeInstanceOf(ClosedError)
    })
  })

  describe('a caller that always comes too late', () => {
    /** A callback that another writer overtakes each time. */
    function overtaken(writer, id) {
      return jest.fn(async (state) => {
        await writer.updateSession(id, makeState({ session_id: id, count: 0 }))
        return increment(state)
      })
    }

    test('goes on until its deadline, and no longer', async () => {
      const [manager, writer] = [open({ commandTimeoutMs: 1000 }), open()]
      const id = await counterOf(manager)
      const fn = overtaken(writer, id)
      const started = performance.now()
      const error = await refusalOf(() => manager.modifySession(id, fn))
      const ms = performance.now() - started
      expect(error).toBeInstanceOf(ConcurrencyError)
      expect(error.actualVersion).toBe(error.expectedVersion + 1)
      expect(fn.mock.calls.length).toBeGreaterThan(6)
      expect(ms).toBeGreaterThan(700)
      expect(ms).toBeLessThan(1050)
    })

    test('writes what a callback returned after the deadline, but does not run it again', async () => {
      const [manager, writer] = [open({ commandTimeoutMs: 300 }), open()]
      const id = await counterOf(manager)
      let runs = 0
      const late = (isOvertaken) => async (state) => {
        runs++
        await new Promise((resolve) => setTimeout(resolve, 400))
        if (isOvertaken) await writer.updateSession(id, state)
        return increment(state)
      }
      expect(await manager.modifySession(id, late(false))).toMatchObject({ count: 1, version: 2 })
      const error = await refusalOf(() => manager.modifySession(id, late(true)))
      expect(error).toMatchObject({ expectedVersion: 2, actualVersion: 3 })
      expect(runs).toBe(2)
    })
  })

  describe('a callback that returns undefined', () => {
    test.each([[{}], [{ cache: {} }]])(
      'writes nothing, and the state that was read comes back: %j',
      async (options) => {
        const manager = open(options)
        const id = await counterOf(manager)
        const before = await stored(id)
        await manager.getSession(id)
        const messages = []
        const unsubscribe = manager.subscribeToUpdates((_id, state) =>
          messages.push(state?.version),
        )
        await manager.subscribed()
        for (const fn of [
          () => undefined,
          async () => {},
          (state) => {
            state.count = 99 // Not returned, it is not written.
          },
        ]) {
          const read = await manager.modifySession(id, fn)
          expect(read).toStrictEqual(await manager.getSession(id))
          expect(read.count).toBe(0)
        }
        await manager.modifySession(id, increment)
        await until(() => messages.length > 0)
        unsubscribe()
        expect(messages).toEqual([2])
        expect(before).toMatchObject({ version: 1, count: 0 })
      },
    )
  })
})
