'use strict'

const { OutcomeUnknownError } = require('..')
const { Outage, outcomeOf } = require('./harness/outage.js')
const { refusing } = require('./harness/refused-requests.js')
const { until } = require('./harness/until.js')

const outage = Outage.use()

/**
 * Of an unlocked update, where some requests are refused. `lose` says how the connection is lost
 * after the update has landed.
 */
async function loseAnswer(refused, lose) {
  outage.proxy.rewritten = refused
  const manager = await outage.connected()
  const state = await outage.given()
  const id = state.session_id
  outage.proxy.mode = 'swallow'
  const outcome = outcomeOf(manager.updateSession(id, { ...state, status: 'running' }))
  await until(async () => (await outage.stored(id)).version > 1)
  outage.proxy.mode = 'pass'
  lose()
  return { outcome: await outcome, stored: await outage.stored(id) }
}

const reset = () => outage.proxy.reset()
/** It stays, and stays deaf: Redis still has it when the next one is made. */
const deaf = () => outage.proxy.strand()

const BUSY = 'BUSY Redis is busy running a script. You can only call SCRIPT KILL.'
const LOADING = 'LOADING Redis is loading the dataset in memory'
const NOPERM = "NOPERM User default has no permissions to run the 'client' command"
const UNKNOWN = "ERR unknown command 'CLIENT', with args beginning with: "

describe('an unlocked update whose answer is lost is repeated behind a fence', () => {
  test.each([
    ['ID', BUSY],
    ['ID', LOADING],
    ['SETNAME', BUSY],
    ['SETNAME', LOADING],
  ])('though CLIENT %s was refused once, when the connection was made: %s', async (word, error) => {
    const { outcome, stored } = await loseAnswer(
      refusing(RegExp(`^CLIENT ${word}`), error, 1),
      reset,
    )
    expect(outcome).toBe('done')
    expect(stored).toMatchObject({ version: 2, status: 'running' })
  })

  test.each([
    ['LIST', BUSY],
    ['LIST', LOADING],
    ['KILL', BUSY],
    ['KILL', LOADING],
  ])('though CLIENT %s was refused once, when the fence was made: %s', async (word, error) => {
    const { outcome, stored } = await loseAnswer(
      refusing(RegExp(`^CLIENT ${word}`), error, 1),
      deaf,
    )
    expect(outcome).toBe('done')
    expect(stored).toMatchObject({ version: 2, status: 'running' })
  })
})

describe('where there can be no fence, the outcome of that update is unknown', () => {
  test.each([NOPERM, UNKNOWN])('%s', async (error) => {
    const { outcome, stored } = await loseAnswer(refusing(/^CLIENT/, error), deaf)
    expect(outcome).toBe(OutcomeUnknownError.name)
    expect(stored.version).toBe(2)
  })

  test.each(['ID', 'LIST', 'KILL'])('also where only CLIENT %s is not allowed', async (command) => {
    const refused = refusing(RegExp(`^CLIENT ${command}`), NOPERM)
    const { outcome, stored } = await loseAnswer(refused, deaf)
    // A connection that can do without this command may fence all the same.
    expect([OutcomeUnknownError.name, 'done']).toContain(outcome)
    if (refused.count > 0 && command === 'KILL') expect(outcome).toBe(OutcomeUnknownError.name)
    expect(stored.version).toBe(2)
  })
})
