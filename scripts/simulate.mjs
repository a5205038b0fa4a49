// Runs invented histories, many of them, in release. A failure names the seed that repeats it.
//
//   npm run simulate                       a million of the connection (src/redis/simulation/), from seed 0 on
//   npm run simulate -- 5000 42            5000, from seed 42 on
//   npm run simulate:engines               a million on both engines (tests/engines/), from seed 0 on
//   npm run simulate:engines -- 5000 42 4  5000, from seed 42 on, in 4 lanes; default: one for each core

import { spawnSync } from 'node:child_process'
import os from 'node:os'
import process from 'node:process'

const isOfEngines = process.argv[2] === '--engines'
const [histories = '1000000', seed = '0', lanes = String(os.availableParallelism())] =
  process.argv.slice(isOfEngines ? 3 : 2)
const env = {
  ...process.env,
  SYNCKAIROS_HISTORIES: histories,
  SYNCKAIROS_SEED: seed,
  SYNCKAIROS_LANES: lanes,
}
const which = isOfEngines ? ['--test', 'engines'] : ['--lib', 'simulation']
const args = ['test', '--release', '--locked', ...which, '--', '--nocapture']
const { status } = spawnSync('cargo', args, { env, stdio: 'inherit' })
process.exit(status ?? 1)
