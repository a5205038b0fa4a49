// One service instance: a worker thread or a process of its own with a RedisStateManager, whose
// changes a DBWriteQueue carries to the database. All that it knows of the other it has from the
// store.

import { EventEmitter, once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConcurrencyError, DBWriteQueue, RedisStateManager } from '../index.js'
import { leave, onAct, setting, tell } from './channel.mjs'
import * as rules from './game.mjs'
import { line } from './lines.mjs'
import { machineMs, Stopwatch } from './stopwatch.mjs'

const { me, urls, options, queueName, sessionId, database, startedAt, fullSpeedMs } = setting
const other = me === 'A' ? 'B' : 'A'
const colour = rules.COLOURS[me]

const queue = new DBWriteQueue(urls.redis, { databaseUrl: urls.database, queueName })
const manager = new RedisStateManager(urls.redis, null, queue, options)
const watch = new Stopwatch()
const counts = { acknowledged: 0, updates: 0, conflicts: 0, presses: 0, carried: 0 }
const result = { ...counts, heard: [], chat: [], deletionHeard: false }
const say = (verb, text, version) => tell({ line: line(startedAt, me, verb, text, version) })

/** The game as last heard of: `undefined` before it is created, `null` once it is deleted. */
let game
/** The state that both race from, as it was before either of them wrote. */
let raceFrom
let loud = true
const radio = new EventEmitter()

manager.subscribeToUpdates((_sessionId, state) => {
  if (state?.writer === other) watch.note('update → heard by the other', machineMs() - state.sentAt)
  if (state === null) {
    result.deletionHeard = true
    say('hears', 'the session is deleted')
  } else {
    result.heard.push(state.version)
    if (loud && state.writer === other) say('hears', state.news, `version ${state.version}`)
  }
  game = state
  if (state && rules.isRaceDue(state) && state.gifts % 2 === 0) raceFrom = state
  radio.emit('heard')
})

manager.subscribeToWebSocket((_sessionId, { from, text }) => {
  if (from !== other) return
  say('hears', `chat: "${text}"`)
  result.chat.push(text)
  radio.emit('heard')
})

queue.on('completed', () => result.carried++)
queue.on('failed', (_record, error) =>
  say('fails', `${database} refused a record: ${error.message}`),
)
queue.on('error', (error) => say('waits', `records wait: ${error.message}`))

/** Waits until what was heard satisfies the condition. */
async function until(condition) {
  while (!condition()) await once(radio, 'heard')
}

const signed = (state, news) => ({ ...state, writer: me, sentAt: machineMs(), news })

/** A locked update: refused with a ConcurrencyError where the version is another by now. */
async function write(next, news) {
  await watch.time('updateSession', () =>
    manager.updateSession(sessionId, signed(next, news), next.version),
  )
  result.acknowledged++
  result.updates++
}

const read = () => watch.time('getSession', () => manager.getSession(sessionId))

/** Reads, changes, writes; again with the new version where another writer was first. */
async function change(first, fn, news, tell = () => {}) {
  for (let state = first; ; ) {
    try {
      tell('writes', news, state.version)
      return await write(fn(state), news)
    } catch (error) {
      if (!(error instanceof ConcurrencyError)) throw error
      result.conflicts++
      tell('refused', error)
      state = await read()
    }
  }
}

async function play() {
  for (;;) {
    await until(() => rules.isOver(game) || rules.isRaceDue(game) || rules.isTurnOf(game, colour))
    if (rules.isOver(game)) return
    await (rules.isRaceDue(game) ? race() : move())
  }
}

async function move() {
  const thinking = 120 + Math.random() * 180
  const start = machineMs()
  await sleep(thinking)
  const usedMs = Math.round(machineMs() - start)
  const next = rules.switchTurn(game, usedMs)
  const left = (rules.clockOf(next, colour) / 1000).toFixed(1)
  const news = `${colour} played ${next.moves.at(-1)} (${usedMs} ms, ${left} s left)`
  say('writes', news, `version ${game.version} → ${game.version + 1}`)
  await write(next, news)
  await until(() => rules.isOver(game) || !rules.isTurnOf(game, colour))
}

/** Both write at an agreed moment with the same expected version: one of them must be refused. */
async function race() {
  await sleep(Math.max(0, raceFrom.updated_at.getTime() + 300 - Date.now()))
  let tries = 0
  await change(
    raceFrom,
    rules.giveTime,
    `${colour} gave both clocks one more second`,
    (verb, what, version) => {
      if (verb === 'refused') {
        const { name, expectedVersion, actualVersion } = what
        say('refused', `${name}: expected version ${expectedVersion}, found ${actualVersion}`)
      } else {
        say(tries++ ? 'retries' : 'races', what, `version ${version} → ${version + 1}`)
      }
    },
  )
  await until(() => !rules.isRaceDue(game))
}

async function chat() {
  const send = (text) => {
    say('sends', `chat: "${text}"`)
    const message = { from: me, text }
    return watch.time('broadcastToSession', () => manager.broadcastToSession(sessionId, message))
  }
  if (me === 'A') {
    await send('Good game! Now as fast as we can?')
    await until(() => result.chat.length > 0)
  } else {
    await until(() => result.chat.length > 0)
    await send('Ready, go!')
  }
}

async function fullSpeed() {
  loud = false
  const end = machineMs() + fullSpeedMs
  const before = result.conflicts
  while (machineMs() < end) {
    await change(await read(), rules.press, 'pressed')
    result.presses++
  }
  await change(await read(), (state) => rules.finish(state, me), 'finished')
  await until(() => game.finished.length === 2)
  say(
    'reports',
    `${result.presses} updates; ${result.conflicts - before} times refused, and retried`,
  )
}

async function farewell() {
  if (me === 'A') {
    const last = await read()
    result.final = { version: last.version, presses: last.presses, gifts: last.gifts }
    say('deletes', 'the session', `version ${last.version}`)
    await watch.time('deleteSession', () => manager.deleteSession(sessionId))
    result.acknowledged++
  }
  await until(() => game === null)
  result.gone = (await read()) === null
}

async function audit() {
  await queue.drained()
  const { waiting, failed, completed } = await queue.getMetrics()
  say('reports', `records: ${completed} in ${database}, ${waiting} waiting, ${failed} refused`)
}

/** What the director asks for, one act after the other; it begins without being asked. */
const acts = {
  // Both do, as in a service: the tables are made once.
  start: () => Promise.all([queue.migrate(), manager.subscribed()]),
  create: async () => {
    if (me === 'B') return until(() => game)
    say('creates', 'a chess clock, two players, 60 s each', 'version 1')
    const news = 'a new chess clock, white to move'
    const state = signed(rules.newGame(sessionId), news)
    await watch.time('createSession', () => manager.createSession(state))
    result.acknowledged++
    await until(() => game)
  },
  play,
  chat,
  fullSpeed,
  farewell,
  audit,
  close: async () => {
    await manager.close()
    await queue.close()
    say('closes', 'its manager and its queue')
    // Nothing keeps this instance alive now: it is over without being told to exit.
    tell({ done: 'close', result: { ...result, times: watch.times } }, leave)
  },
}

async function perform(act) {
  try {
    await acts[act]()
    if (act !== 'close') tell({ done: act })
  } catch (error) {
    tell({ failure: error.stack }, () => process.exit(1))
  }
}

onAct(perform)
perform('start')
