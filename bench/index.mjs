// Side by side, in one run: this module and what else there is.
//
//   node bench/index.mjs           some 25 minutes; keeps results/latest.json, its plot, memory.json, cluster.json
//     --quick                      some 5
//     --memory                     only the store in the process and SQLite, beside Redis: memory.json
//     --cluster                    only a cluster of three masters, beside one server: cluster.json
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
import { GOALS, GOALS_OF_CLUSTER, GOALS_OF_MEMORY } from './goals.mjs'
import { judge, judgeSoak } from './judge.mjs'
import { NETWORKS } from './matrix.mjs'
import { availableModes } from './modes.mjs'
import { openNetwork, PLAIN } from './networks.mjs'
import { saveClusterResults, saveMemoryResults, saveResults } from './report/files.mjs'
import { stale, writePage } from './report/page.mjs'
import { report } from './report/text.mjs'
import { Run } from './run.mjs'
import { Servers } from './servers.mjs'
import { describe } from './setting.mjs'
import { captureUpdate } from './workload/captured-update.mjs'

const flag = { type: 'boolean', default: false }
const { values: options } = parseArgs({
  options: {
    quick: flag,
    smoke: flag,
    memory: flag,
    cluster: flag,
    soak: flag,
    json: flag,
    page: flag,
    check: flag,
  },
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
    const isAll = !options.memory && !options.cluster
    if (isAll) tell(await measure(servers, effort, besidePeers), saveResults)
    if (isAll || options.memory) {
      tell(await measure(servers, effort, besideRedis), saveMemoryResults)
    }
    if (isAll || options.cluster) {
      await servers.startCluster()
      tell(await measure(servers, effort, inCluster), saveClusterResults)
    }
  } catch (error) {
    console.error(error)
    code = 1
  }
  await stop(code)
}

/** A smoke run is too short for its figures to be kept. */
function tell(outcome, save) {
  if (!options.smoke) save(outcome)
  console.log(options.json ? JSON.stringify(outcome, null, 2) : report(outcome))
}

async function measure(servers, name, part) {
  const effort = EFFORTS[name]
  const started = performance.now()
  const { modes, noPinned } = availableModes()
  const run = new Run(servers, await settingOf(servers, modes[0]), effort, progress)
  const outcome = await part(run, servers, modes, effort)
  progress('')
  const seconds = Math.round((performance.now() - started) / 1000)
  const left = { noPinned: noPinned ?? null, noTls: !servers.tls }
  return {
    setting: { ...(await describe(servers)), modes, ...left, effort: name, ...effort, seconds },
    ...outcome,
    results: run.measurements.results(),
    commands: run.commands,
  }
}

/** This module on Redis beside what else there is. */
async function besidePeers(run, servers, modes, effort) {
  const networks = NETWORKS.filter((network) => network === PLAIN || servers.tls)
  for (const [at, mode] of modes.entries()) {
    for (const [place, network] of networks.entries()) {
      if (effort.each && at !== Math.min(place, modes.length - 1)) continue
      await run.network(network, mode)
    }
    if (at === 0 || !effort.each) await run.drain(mode)
  }
  const soak = options.soak ? await run.soak(modes[0]) : undefined
  return { goals: [...judge(GOALS, run.measurements), judgeSoak(soak)], soak: soak ?? null }
}

/** This module on `memory:` beside itself on Redis, and SQLite. */
async function besideRedis(run, _servers, modes, effort) {
  for (const mode of effort.each ? modes.slice(0, 1) : modes) await run.memory(mode)
  return { goals: judge(GOALS_OF_MEMORY, run.measurements), soak: null }
}

/** This module in a cluster beside clusters' clients, and beside itself on one server. */
async function inCluster(run, _servers, modes, effort) {
  for (const mode of effort.each ? modes.slice(0, 1) : modes) await run.cluster(mode)
  return { goals: judge(GOALS_OF_CLUSTER, run.measurements), soak: null }
}

async function settingOf(servers, mode) {
  const { redis, postgres } = servers
  const { address } = await openNetwork(PLAIN, servers, mode)
  return {
    redis: address,
    one: address,
    databaseUrl: await postgres.createDatabase(deployedSchema),
    update: await captureUpdate(redis.url),
    auditedUpdate: await captureUpdate(redis.url, WAITING_QUEUE),
  }
}

function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}
