// Two service instances share a session through Redis, and PostgreSQL keeps a record of each change.
// `node demo/index.mjs` shows how.

import { fork } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { check } from './check.mjs'
import { bad, bold, dim, title } from './lines.mjs'
import { startPostgres } from './postgres.mjs'
import { startRedis } from './redis.mjs'
import { showRows } from './rows.mjs'

const DEADLINE_MS = 28_000
const FULL_SPEED_MS = 1500
const NAMES = ['A', 'B']

/** The acts in order: what the instances are asked for, and what the reader is told first. */
const ACTS = [
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
    '6. With each change Redis has kept a record of it, which workers in A and B carry to PostgreSQL.\n' +
      '   They have done so all the while; now both wait until no record is left in Redis.',
  ],
]

const instances = []
/** What the keys in a Redis that is not ours are known by. */
const name = `demo-${randomBytes(4).toString('hex')}`
const sessionId = randomUUID()
let starting = []
let ending = false

async function main() {
  console.log(bold('Two processes, A and B, share one chess clock through Redis, and PostgreSQL'))
  console.log(bold('gets a record of each change: with synckairos-state, in some ten seconds.'))
  console.log('Each line is what one of them does or hears from the other.')
  starting = [startRedis(name, sessionId), startPostgres(sessionId)]
  const [redis, postgres] = await Promise.all(starting)
  if (ending) return false
  console.log(dim(`Redis: ${redis.description}.`))
  console.log(dim(`PostgreSQL: ${postgres.description}.`))

  const { options } = redis
  const startedAt = Date.now()
  const setting = { options, queueName: name, sessionId, startedAt, fullSpeedMs: FULL_SPEED_MS }
  const env = { ...process.env, REDIS_URL: redis.url, DATABASE_URL: postgres.url }
  for (const me of NAMES) instances.push(startInstance({ ...setting, me }, env))
  await all('start')
  for (const [act, text] of ACTS) {
    title(text)
    for (const { child } of instances) child.send(act)
    await all(act)
  }
  const stored = await showRows(postgres, sessionId)
  for (const { child } of instances) child.send('close')
  const results = await Promise.all(instances.map(({ ended }) => ended))
  return check(results, stored)
}

/** @param {NodeJS.ProcessEnv} env where a URL's password is not seen in the list of processes */
function startInstance(setting, env) {
  const script = fileURLToPath(new URL('instance.mjs', import.meta.url))
  const child = fork(script, [JSON.stringify(setting)], { env })
  let result
  child.on('message', (message) => {
    if (message.result) result = message.result
  })
  const ended = once(child, 'exit').then(([code, signal]) => {
    if (code === 0 && result) return result
    throw new Error(`instance ${setting.me} ended early (${signal ?? `exit code ${code}`})`)
  })
  ended.catch(() => {})
  return { child, ended }
}

/** Resolves when all instances are done with this act; rejects where one of them ends instead. */
function all(act) {
  const done = ({ child, ended }) =>
    Promise.race([
      ended.then(() => Promise.reject(new Error(`an instance ended before ${act}`))),
      new Promise((resolve) => {
        child.on('message', (message) => message.done === act && resolve())
      }),
    ])
  return Promise.all(instances.map(done))
}

/** Resolves, with the exit code, when the demo has to end before it is over. */
const interrupted = new Promise((resolve, reject) => {
  process.on('SIGINT', () => resolve(130))
  process.on('SIGTERM', () => resolve(143))
  const late = () => reject(new Error(`not over after ${DEADLINE_MS / 1000} s`))
  setTimeout(late, DEADLINE_MS).unref()
})

const nothing = () => {}

async function cleanUp() {
  ending = true
  for (const { child } of instances) child.kill('SIGKILL')
  await Promise.allSettled(instances.map(({ ended }) => ended))
  // Also what is still starting.
  const stopping = starting.map((server) => server.then(({ stop }) => stop(), nothing))
  for (const { status, reason } of await Promise.allSettled(stopping)) {
    if (status === 'rejected') console.error(bad(`Not all could be cleaned up: ${reason.message}`))
  }
}

let code
try {
  code = await Promise.race([main().then((passed) => (passed ? 0 : 1)), interrupted])
} catch (error) {
  console.error(bad(`The demo failed: ${error.message}`))
  code = 1
}
await cleanUp()
process.exit(code)
