// The director of the demo: starts two service instances, asks them for one act after the other, and checks
// what came of it. `npm run demo` plays it.

import { randomBytes, randomUUID } from 'node:crypto'
import process from 'node:process'
import { check } from './check.mjs'
import { bad, bold, dim, title } from './lines.mjs'
import { showRows } from './rows.mjs'

const DEADLINE_MS = 28_000
const FULL_SPEED_MS = 1000
const NAMES = ['A', 'B']

/**
 * The acts in order: what the instances are asked for, and what the reader is told first.
 *
 * @param {{ store: string, database: string }} words
 */
const acts = ({ store, database }) => [
  ['create', '1. Instance A creates a session; B, which has subscribed, hears of it.'],
  [
    'play',
    '2. A plays white, B plays black. Each update says which version of the session it replaces.\n' +
      '   Now and then both race to write: one is refused with a typed error, reads again, retries.',
  ],
  ['chat', '3. A broadcast: a message to all instances that is stored nowhere.'],
  ['fullSpeed', '4. Both update the same session as fast as they can, without a pause.'],
  ['farewell', '5. A deletes the session.'],
  [
    'audit',
    `6. A record of each change was kept in ${store}.\n` +
      `   Workers in A and B have carried the records to ${database} all the while;\n` +
      '   now both wait until no record is left.',
  ],
  ['close', '7. Both close their managers and queues, and end by themselves.'],
]

const instances = []
/** A place to play, once it is open. */
let opening
let ending = false

/**
 * Plays the demo in a place: in this process, or on servers.
 *
 * @param {typeof import('./in-process.mjs')} place
 * @returns {Promise<number>} the exit code
 */
export async function play(place) {
  let code
  try {
    code = await Promise.race([perform(place).then((passed) => (passed ? 0 : 1)), interruption()])
  } catch (error) {
    console.error(bad(`The demo failed: ${error.message}`))
    code = 1
  }
  await cleanUp()
  return code
}

async function perform({ words, open, start }) {
  console.log(
    bold(`Two ${words.instances}, A and B, share one chess clock through ${words.store},`),
  )
  console.log(bold(`and ${words.database} gets a record of each change: with synckairos-state.`))
  console.log('Each line is what one of them does or hears from the other.')
  const name = `demo-${randomBytes(4).toString('hex')}`
  const sessionId = randomUUID()
  opening = open(name, sessionId)
  const { description, urls, options, rowsOf } = await opening
  if (ending) return false
  for (const line of description) console.log(dim(line))

  const times = { startedAt: Date.now(), fullSpeedMs: FULL_SPEED_MS }
  const setting = { urls, options, queueName: name, sessionId, database: words.database, ...times }
  for (const me of NAMES) instances.push(instanceOf(me, start({ ...setting, me })))
  await Promise.all(instances.map(({ ready }) => ready))
  for (const [act, text] of acts(words)) {
    title(text)
    await Promise.all(instances.map((instance) => instance.perform(act)))
  }
  const results = await Promise.all(instances.map(({ result }) => result))
  return check(results, await showRows(rowsOf), words.database)
}

/** An instance, as the director sees it: prints what it says, and keeps what came of it. */
function instanceOf(me, { ended, tell, onMessage, stop }) {
  let final
  let settle
  onMessage(({ line, done, failure, result }) => {
    if (line) console.log(line)
    if (failure) console.error(bad(`instance ${me}: ${failure}`))
    if (result) final = result
    if (done) settle()
  })
  const result = ended.then((how) => {
    if (how === 0 && final) return final
    throw new Error(`instance ${me} ended early (${how})`)
  })
  result.catch(() => {})
  /** Resolves when it is done with what it does now; rejects where it ends instead. */
  const isDone = () =>
    new Promise((resolve, reject) => {
      settle = resolve
      result.catch(reject)
    })
  const perform = (act) => {
    const done = isDone()
    tell(act)
    return done
  }
  return { ready: isDone(), perform, result, stop }
}

/** Resolves, with the exit code, when the demo has to end before it is over. */
function interruption() {
  return new Promise((resolve, reject) => {
    process.on('SIGINT', () => resolve(130))
    process.on('SIGTERM', () => resolve(143))
    const late = () => reject(new Error(`not over after ${DEADLINE_MS / 1000} s`))
    setTimeout(late, DEADLINE_MS).unref()
  })
}

async function cleanUp() {
  ending = true
  for (const { stop } of instances) stop()
  await Promise.allSettled(instances.map(({ result }) => result))
  try {
    const opened = await opening?.catch(() => {}) // What failed to open has cleaned up after itself.
    await opened?.close()
  } catch (error) {
    console.error(bad(`Not all could be cleaned up: ${error.message}`))
  }
}
