// Side by side, in one run: this module and what else there is. `node bench/index.mjs [--quick] [--json]`

import os from 'node:os'
import { parseArgs } from 'node:util'
import { RedisServer } from '../__test__/harness/redis.js'
import { contenders } from './contenders.mjs'
import { makeSession } from './document.mjs'
import { measure, summarize } from './measure.mjs'
import { report } from './report.mjs'
import { watchCommands } from './round-trips.mjs'

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const ROUNDS = options.quick ? 5 : 9
const MS = options.quick ? 300 : 600
const WARM_UP_MS = 300
const IN_FLIGHT = [1, 64]

const server = await RedisServer.start()
const stop = (code) => server.stop().finally(() => process.exit(code))
process.once('SIGINT', () => stop(130))
process.once('SIGTERM', () => stop(143))

let code = 0
try {
  const outcome = await run()
  console.log(options.json ? JSON.stringify(outcome, null, 2) : report(outcome))
} catch (error) {
  console.error(error)
  code = 1
}
await stop(code)

async function run() {
  const setting = await describe()
  const progress = (text) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`)

  progress('opening')
  const running = []
  for (const contender of contenders) {
    const opened = await contender.open({ url: server.url, loops: Math.max(...IN_FLIGHT) })
    running.push({ ...contender, ...opened, rounds: new Map(IN_FLIGHT.map((n) => [n, []])) })
  }

  for (const { name, run } of running) {
    progress(`warming up: ${name}`)
    for (const inFlight of IN_FLIGHT) await measure(run, inFlight, WARM_UP_MS)
  }

  const roundTrips = []
  for (const { name, run } of running) {
    roundTrips.push({ name, ...(await watchCommands(server.url, () => run(0))) })
  }

  for (let round = 0; round < ROUNDS; round++) {
    for (const inFlight of IN_FLIGHT) {
      for (let turn = 0; turn < running.length; turn++) {
        // Each round begins with another, so that nobody always comes after the same neighbour.
        const { name, run, rounds } = running[(round + turn) % running.length]
        progress(`round ${round + 1} of ${ROUNDS}, ${inFlight} in flight: ${name}`)
        rounds.get(inFlight).push(await measure(run, inFlight, MS))
      }
    }
  }
  progress('')
  for (const { close } of running) await close()
  return { setting, roundTrips, results: resultsOf(running), ratios: ratiosOf(running) }
}

async function describe() {
  const info = await server.client().info('server')
  return {
    node: process.version,
    redis: /redis_version:(\S+)/.exec(info)[1],
    cpus: os.availableParallelism(),
    cpuModel: os.cpus()[0]?.model ?? 'unknown',
    platform: `${process.platform} ${process.arch}`,
    documentBytes: JSON.stringify(makeSession()).length,
    rounds: ROUNDS,
    ms: MS,
  }
}

function resultsOf(running) {
  const operations = new Set(running.map(({ operation }) => operation))
  return [...operations].flatMap((operation) =>
    IN_FLIGHT.flatMap((inFlight) =>
      running
        .filter((contender) => contender.operation === operation)
        .map(({ name, rounds }) => ({
          name,
          operation,
          inFlight,
          ...summarizeAll(rounds.get(inFlight)),
        })),
    ),
  )
}

function summarizeAll(rounds) {
  const figures = Object.keys(rounds[0])
  return Object.fromEntries(
    figures.map((figure) => [figure, summarize(rounds.map((round) => round[figure]))]),
  )
}

/** Round by round, so that a machine that slows down in between does not count. */
function ratiosOf(running) {
  return running
    .filter(({ baseline }) => !baseline)
    .flatMap((contender) => {
      const { name, operation, goals = {} } = contender
      const base = running.find((other) => other.operation === operation && other.baseline)
      return IN_FLIGHT.map((inFlight) => {
        const theirs = base.rounds.get(inFlight)
        const ours = contender.rounds.get(inFlight)
        const ratio = summarize(
          ours.map(({ opsPerSecond }, i) => opsPerSecond / theirs[i].opsPerSecond),
        )
        const goal = goals[inFlight]
        const verdict = goal === undefined ? {} : { goal, met: ratio.median >= goal }
        return { name, baseline: base.name, operation, inFlight, ratio, ...verdict }
      })
    })
}
