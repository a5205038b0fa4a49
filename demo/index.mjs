// Two service instances share a session through Redis. `node demo/index.mjs` shows how.

import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { check } from './check.mjs'
import { bad, bold, dim, title } from './lines.mjs'
import { startServer } from './server.mjs'

const DEADLINE_MS = 24_000
const FULL_SPEED_MS = 2000
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
  ['close'],
]

const instances = []
const sessionId = `chess-${randomBytes(2).toString('hex')}`
let server

async function main() {
  server = await startServer()
  console.log(
    bold('Two processes, A and B, share one chess clock through Redis with synckairos-state.'),
  )
  console.log(
    'Each line is what one of them does or hears from the other. It takes some ten seconds.',
  )
  console.log(dim(`Redis: ${server.description}.`))

  const setting = { options: server.options, sessionId, fullSpeedMs: FULL_SPEED_MS }
  const startedAt = Date.now()
  for (const me of NAMES) instances.push(startInstance({ ...setting, startedAt, me }))
  await all('start')
  for (const [act, text] of ACTS.slice(0, -1)) {
    title(text)
    for (const { child } of instances) child.send(act)
    await all(act)
  }
  for (const { child } of instances) child.send('close')
  const results = await Promise.all(instances.map(({ ended }) => ended))
  return check(results)
}

function startInstance(setting) {
  const script = fileURLToPath(new URL('instance.mjs', import.meta.url))
  const child = fork(script, [JSON.stringify(setting)], {
    // The URL may hold a password, which has no place in a list of processes.
    env: { ...process.env, REDIS_URL: server.url },
  })
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
  process.once('SIGINT', () => resolve(130))
  process.once('SIGTERM', () => resolve(143))
  const late = () => reject(new Error(`not over after ${DEADLINE_MS / 1000} s`))
  setTimeout(late, DEADLINE_MS).unref()
})

async function cleanUp() {
  for (const { child } of instances) child.kill('SIGKILL')
  await Promise.allSettled(instances.map(({ ended }) => ended))
  await server?.stop(sessionId)
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
