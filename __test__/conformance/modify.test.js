'use strict'

const { ConcurrencyError, SessionNotFoundError } = require('../..')
const { refusalOf } = require('../harness/refusal.js')
const { createdBy } = require('../harness/sessions.js')
const { engines } = require('../harness/engines.js')

describe.each(engines)('$engine', ({ use }) => {
  const store = use()

  let manager
  beforeEach(() => {
    manager = store.open()
  })

  const stored = (id) => manager.getSession(id)
  const created = (overrides) => createdBy(manager, overrides)

  describe('modifySession', () => {
    it('resolves to the state written', async () => {
      const state = await created({ note: null })
      const at = new Date('2026-01-02T03:04:05.006Z')
      const written = await manager.modifySession(state.session_id, (current) => {
        expect(current).toEqual(state)
        return { ...current, status: 'running', session_started_at: at, extra: { at, list: [] } }
      })
      expect(written).toMatchObject({ version: 2, status: 'running', extra: { at, list: [] } })
      expect(written).toStrictEqual(await manager.getSession(state.session_id))
    })

    it('takes a function that changes its argument, and one that is async', async () => {
      const { session_id } = await created({ count: 0 })
      await manager.modifySession(session_id, async (state) => {
        await null
        state.version = 77
        state.count++
        return state
      })
      expect(await stored(session_id)).toMatchObject({ version: 2, count: 1 })
    })

    it('reads again and retries on a conflict', async () => {
      const { session_id } = await created({ count: 0 })
      const seen = []
      const written = await manager.modifySession(session_id, async (state) => {
        seen.push(state.version)
        if (seen.length <= 3) await manager.updateSession(session_id, { ...state, count: 10 })
        return { ...state, count: state.count + 1 }
      })
      expect(seen).toEqual([1, 2, 3, 4])
      expect(written).toMatchObject({ version: 5, count: 11 })
    })

    it.each([
      [{ retries: 0 }, 1],
      [{ retries: 1 }, 2],
      [{ retries: 9 }, 10],
    ])('gives up with the conflict after its retries: %j', async (options, calls) => {
      const { session_id } = await created()
      const fn = jest.fn(async (state) => {
        await manager.updateSession(session_id, { ...state, other: true })
        return { ...state, mine: true }
      })
      const error = await refusalOf(() => manager.modifySession(session_id, fn, options))
      expect(error).toBeInstanceOf(ConcurrencyError)
      expect(error).toMatchObject({ expectedVersion: calls, actualVersion: calls + 1 })
      expect(fn).toHaveBeenCalledTimes(calls)
      expect(await stored(session_id)).not.toHaveProperty('mine')
    })

    it('refuses where there is no such session, without a call', async () => {
      const fn = jest.fn()
      const error = await refusalOf(() => manager.modifySession('nobody', fn))
      expect(error).toBeInstanceOf(SessionNotFoundError)
      expect(fn).not.toHaveBeenCalled()
    })

    it.each([
      [
        'throws',
        (error) => () => {
          throw error
        },
      ],
      ['rejects', (error) => () => Promise.reject(error)],
    ])('passes on what the function %s, once, and writes nothing', async (_name, make) => {
      const state = await created()
      const fault = new RangeError('mine')
      const fn = jest.fn(make(fault))
      expect(await refusalOf(() => manager.modifySession(state.session_id, fn))).toBe(fault)
      expect(fn).toHaveBeenCalledTimes(1)
      expect(await manager.getSession(state.session_id)).toEqual(state)
    })
  })
})
