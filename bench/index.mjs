// Side by side, in one run: this module and what else there is.
//
//   node bench/index.mjs           about three minutes; results/latest.json and its plot are written
//     --quick                      about one
//     --soak                       and five million calls, to look at the memory
//     --smoke                      a moment, nothing is kept: whether everything can be measured
//     --json                       prints the results as JSON
//   node bench/index.mjs --readme  puts the results that were kept into the README
//   node bench/index.mjs --check   whether the README and the plot show them

import process from 'node:process'
import { parseArgs } from 'node:util'
import { deployedSchema, PostgresServer } from '../__test__/harness/postgres.js'
import { RedisServer } from '../__test__/harness/redis.js'
import { WAITING_QUEUE } from './contenders/index.mjs'
import { judge } from './goals.mjs'
import { EFFORTS } from './matrix.mjs'
import { saveResults } from './report/files.mjs'
import { stale, writeReadme } from './report/readme.mjs'
import { report } from './report/text.mjs'
import { Run } from './run.mjs'
import { describe } from './setting.mjs'
import { captureUpdate } from './workload/captured-update.mjs'

const flag = { type: 'boolean', default: false }
const { values: options } = parseArgs({
  options: { quick: flag, smoke: flag, soak: flag, json: flag, readme: flag, check: flag },
})

if (options.readme) writeReadme()
else if (options.check) check()
else await bench()

function check() {
  const files = stale()
  if (files.length === 0) return
  console.error(`not what is measured: ${files.join(', ')}; \`npm run bench -- --readme\` mends it`)
  process.exitCode = 1
}

async function bench() {
  const effort = options.smoke ? 'smoke' : options.quick ? 'quick' : 'full'
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
    const outcome = await measure({ redis, postgres, client: redis.client() }, effort)
    // What was measured in a moment is not for keeping.
    if (!options.smoke) saveResults(outcome)
    console.log(options.json ? JSON.stringify(outcome, null, 2) : report(outcome))
  } catch (error) {
    console.error(error)
    code = 1
  }
  await stop(code)
}

async function measure(servers, effort) {
  const { redis, postgres } = servers
  const progress = (text) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`)
  const started = performance.now()
  const setting = {
    url: redis.url,
    databaseUrl: await postgres.createDatabase(deployedSchema),
    update: await captureUpdate(redis.url, WAITING_QUEUE),
  }
  const run = new Run(servers, setting, EFFORTS[effort], progress)
  await run.networks()
  await run.drain(redis.directory)
  const soak = options.soak ? await run.soak() : undefined
  progress('')
  const seconds = Math.round((performance.now() - started) / 1000)
  return {
    setting: { ...(await describe(servers)), effort, ...EFFORTS[effort], seconds },
    goals: judge(run.measurements, soak),
    results: run.measurements.results(),
    commands: run.commands,
    soak: soak ?? null,
  }
}
