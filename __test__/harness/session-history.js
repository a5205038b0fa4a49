'use strict'

const { makeState } = require('./sessions.js')

/** What a state looks like in JSON. */
const plain = (state) => JSON.parse(JSON.stringify(state))

/** Waits until the clock shows another millisecond: lives and events of one cannot be told apart by date. */
async function nextMillisecond() {
  const now = Date.now()
  while (Date.now() === now) await new Promise(setImmediate)
}

/** Numbers in 0..1 that are the same for the same seed. */
function randomOf(seed) {
  let last = seed >>> 0
  return () => {
    last = (Math.imul(last, 1_664_525) + 1_013_904_223) >>> 0
    return last / 2 ** 32
  }
}

/**
 * Lives a random history of one session: lives of several versions, each deleted or made anew.
 * Resolves to what each change left, oldest first: the state, or null after a deletion.
 */
async function live(manager, seed, changes = 30) {
  const random = randomOf(seed)
  const pick = (list) => list[Math.floor(random() * list.length)]
  const value = () =>
    pick([1, 'ü"\\', null, true, [], {}, { a: [1, { b: new Date(5) }] }, -0.5, [[1], [2]], 1e21])
  const state = makeState({ status: 'running' })
  const id = state.session_id
  const after = []
  for (let count = 0; count < changes; count++) {
    const stored = await manager.getSession(id)
    const own = { ...stored?.own, [pick(['list', 'a b', '0', 'ünï'])]: value() }
    if (random() < 0.3) delete own.list
    const participants = state.participants.slice(0, Math.floor(random() * 3))
    const next = { ...state, ...stored, participants, own }
    const kind = random()
    if (stored === null || kind < 0.08) {
      await nextMillisecond()
      await manager.createSession(next)
    } else if (kind < 0.16) await manager.deleteSession(id)
    else await manager.updateSession(id, next, pick([stored.version, undefined]))
    after.push(await manager.getSession(id))
  }
  return { id, after }
}

/** The state to which changes lead, in JSON. */
function applied(before, changes) {
  const root = { state: plain(before) }
  for (const { path, to } of changes) {
    const keys = ['state', ...[...path.matchAll(/\["((?:[^"\\]|\\.)*)"\]|([^.[\]]+)/g)].map(keyOf)]
    const last = keys.pop()
    const container = keys.reduce((value, key) => value[key], root)
    if (to === undefined) delete container[last]
    else container[last] = to
  }
  return plain(withoutHoles(root.state))
}

function keyOf([, quoted, name]) {
  return quoted === undefined ? name : JSON.parse(`"${quoted}"`)
}

/** Arrays from which elements were deleted end where the last one is. */
function withoutHoles(value) {
  if (Array.isArray(value)) return value.filter((_, index) => index in value).map(withoutHoles)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withoutHoles(one)]))
}

/** Expects the audit to tell what a history has left. */
async function expectTold(queue, { id, after }) {
  const events = await queue.history(id, { limit: 1000 })
  const oldestFirst = events.toReversed()
  expect(oldestFirst.map(({ version }) => version)).toEqual(
    after.map((state) => state?.version ?? null),
  )
  for (const [index, { at, version, changes }] of oldestFirst.entries()) {
    const state = after[index]
    const before = after[index - 1]
    const follows = state !== null && before?.version === version - 1
    expect(changes === null).toBe(!follows)
    if (follows) expect(applied(before, changes)).toEqual(plain(state))
    const isLastOfItsTime = oldestFirst[index + 1]?.at.getTime() !== at.getTime()
    if (isLastOfItsTime) expect(await queue.stateAt(id, { at })).toEqual(state)
  }

  const newestLife = after.findLast((state) => state !== null)?.created_at.getTime()
  const ofNewestLife = after.filter((state) => state?.created_at.getTime() === newestLife)
  for (const state of ofNewestLife) {
    expect(await queue.stateAt(id, { version: state.version })).toEqual(state)
  }
  expect(await queue.stateAt(id, { version: ofNewestLife.length + 1 })).toBeNull()
}

module.exports = { expectTold, live, nextMillisecond, plain }
