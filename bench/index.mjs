// Side by side, in one run: this module and what else there is.
//
//   node bench/index.mjs           some 20 minutes; keeps results/latest.json and its plot
//     --quick                      some 4
//     --soak                       and five million calls, to look at the memory
//     --smoke                      a moment, keeps nothing: whether everything can be measured
//     --json                       prints the results as JSON
//   node bench/index.mjs --page   puts the kept results into docs/performance.md
//   node bench/index.mjs --check  whether that page and the plot show the kept results

import process from 'node:process'
import { parseArgs } from 'node:util'
import { deployedSchema } from '../__test__/harness/postgres.js'
import { WAITING_QUEUE } from './contenders/index.mjs'
import { EFFORTS } from './efforts.mjs'
import { judge } from './judge.mjs'
import { NETWORKS } from './matrix.mjs'
import { availableModes } from './modes.mjs'
import { openNetwork, PLAIN } from './networks.mjs'
import { saveResults } from './report/files.mjs'
import { stale, writePage } from './report/page.mjs'
import { report } from './report/text.mjs'
import { Run } from './run.mjs'
import { Servers } from './servers.mjs'
import { describe } from './setting.mjs'
import { captureUpdate } from './workload/captured-update.mjs'

const flag = { type: 'boolean', default: false }
const { values: options } = parseArgs({
  options: { quick: flag, smoke: flag, soak: flag, json: flag, page: flag, check: flag },
})

if (options.page) writePage()
else if (options.check) check()
else await bench()

function check() {
  const files = stale()
  if (files.length === 0) return
  console.error(`stale figures: ${files.join(', ')}; \`npm run bench -- --page\` renews them`)
  process.exitCode = 1
}

async function bench() {
  const effort = options.smoke ? 'smoke' : options.quick ? 'quick' : 'full'
  const servers = new Servers()
  const stop = (code) => servers.stop().finally(() => process.exit(code))
  process.once('SIGINT', () => stop(130))
  process.once('SIGTERM', () => stop(143))
  let code = 0
  try {
    await servers.start()
    const outcome = await measure(servers, effort)
    // A smoke run is too short for its figures to be kept.
    if (!options.smoke) saveResults(outcome)
    console.log(options.json ? JSON.stringify(outcome, null, 2) : report(outcome))
  } catch (error) {
    console.error(error)
    code = 1
  }
  await stop(code)
}

async function measure(servers, name) {
  const effort = EFFORTS[name]
  const started = performance.now()
  const { modes, noPinned } = availableModes()
  const networks = NETWORKS.filter((network) => network === PLAIN || servers.tls)
  const run = new Run(servers, await settingOf(servers, modes[0]), effort, progress)
  for (const [at, mode] of modes.entries()) {
    for (const [place, network] of networks.entries()) {
      if (effort.each && at !== Math.min(place, modes.length - 1)) continue
      await run.network(network, mode)
    }
    if (at === 0 || !effort.each) await run.drain(mode)
  }
  const soak = options.soak ? await run.soak(modes[0]) : undefined
  progress('')
  const seconds = Math.round((performance.now() - started) / 1000)
  const left = { noPinned: noPinned ?? null, noTls: !servers.tls }
  return {
    setting: { ...(await describe(servers)), modes, ...left, effort: name, ...effort, seconds },
    goals: judge(run.measurements, soak),
    results: run.measurements.results(),
    commands: run.commands,
    soak: soak ?? null,
  }
}

async function settingOf(servers, mode) {
  const { redis, postgres } = servers
  const { address } = await openNetwork(PLAIN, servers, mode)
  return {
    redis: address,
    databaseUrl: await postgres.createDatabase(deployedSchema),
    update: await captureUpdate(redis.url),
    auditedUpdate: await captureUpdate(redis.url, WAITING_QUEUE),
  }
}

function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}
