// Side by side, in one run: this module and what else there is. `node bench/index.mjs [--quick] [--json]`

import os from 'node:os'
import { parseArgs } from 'node:util'
import { deployedSchema, PostgresServer } from '../__test__/harness/postgres.js'
import { RedisServer } from '../__test__/harness/redis.js'
import { contenders } from './contenders.mjs'
import { makeSession } from './document.mjs'
import { measureDrain } from './drain.mjs'
import { measure } from './measure.mjs'
import { measureMemory } from './memory.mjs'
import { report } from './report.mjs'
import { watchCommands } from './round-trips.mjs'
import { ratiosOf, resultsOf } from './summary.mjs'

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
const DRAIN = options.quick ? { records: 5000, rounds: 2 } : { records: 20_000, rounds: 3 }

const servers = []
const stop = (code) =>
  Promise.all(servers.map((server) => server.stop())).finally(() => process.exit(code))
process.once('SIGINT', () => stop(130))
process.once('SIGTERM', () => stop(143))

let code = 0
try {
  const redis = await RedisServer.start()
  servers.push(redis)
  const postgres = await PostgresServer.start()
  servers.push(postgres)
  const outcome = await run({ redis, postgres, client: redis.client() })
  console.log(options.json ? JSON.stringify(outcome, null, 2) : report(outcome))
} catch (error) {
  console.error(error)
  code = 1
}
await stop(code)

async function run(servers) {
  const { redis, postgres } = servers
  const setting = await describe(servers)
  const progress = (text) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`)
  /** Ends when nothing is left behind, so that the next one finds both servers idle. */
  const turnOf = async ({ run, settled }, inFlight, ms) => {
    const start = performance.now()
    const figures = await measure(run, inFlight, ms)
    if (settled === undefined) return figures
    await settled()
    const seconds = (performance.now() - start) / 1000
    return { ...figures, settledPerSecond: figures.count / seconds }
  }

  const databaseUrl = await postgres.createDatabase(deployedSchema)
  const loops = Math.max(...IN_FLIGHT)
  const measured = []
  const roundTrips = []
  // One operation after the other: only those who are compared are there at a time.
  for (const operation of new Set(contenders.map((contender) => contender.operation))) {
    progress(`opening: ${operation}`)
    const running = []
    for (const contender of contenders.filter((one) => one.operation === operation)) {
      const opened = await contender.open({ url: redis.url, databaseUrl, loops })
      running.push({ ...contender, ...opened, rounds: new Map(IN_FLIGHT.map((n) => [n, []])) })
    }
    for (const contender of running) {
      progress(`warming up: ${contender.name}`)
      for (const inFlight of IN_FLIGHT) await turnOf(contender, inFlight, WARM_UP_MS)
    }
    // Where workers speak with Redis meanwhile, what they say would be counted, too.
    for (const { name, run } of running.filter(({ settled }) => !settled)) {
      roundTrips.push({ name, ...(await watchCommands(redis.url, () => run(0))) })
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const inFlight of IN_FLIGHT) {
        for (let turn = 0; turn < running.length; turn++) {
          // Each round begins with another, so that nobody always comes after the same neighbour.
          const contender = running[(round + turn) % running.length]
          progress(`round ${round + 1} of ${ROUNDS}, ${inFlight} in flight: ${contender.name}`)
          contender.rounds.get(inFlight).push(await turnOf(contender, inFlight, MS))
        }
      }
    }
    for (const { close } of running) await close()
    measured.push(...running)
  }

  const drain = await measureDrain(servers, { ...DRAIN, progress })
  progress('records that wait')
  const memory = await measureMemory(redis.url)
  progress('')
  const results = resultsOf(measured, IN_FLIGHT)
  return { setting, roundTrips, results, ratios: ratiosOf(measured, IN_FLIGHT), drain, memory }
}

async function describe({ client, postgres }) {
  const info = await client.info('server')
  const [{ server_version: postgresVersion }] = await postgres.query(
    postgres.url,
    'SHOW server_version',
  )
  return {
    node: process.version,
    redis: /redis_version:(\S+)/.exec(info)[1],
    postgres: postgresVersion.split(' ')[0],
    cpus: os.availableParallelism(),
    cpuModel: os.cpus()[0]?.model ?? 'unknown',
    platform: `${process.platform} ${process.arch}`,
    documentBytes: JSON.stringify(makeSession()).length,
    rounds: ROUNDS,
    ms: MS,
  }
}
