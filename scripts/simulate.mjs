// Runs the simulation of the connection (src/redis/simulation/) for many histories, in release.
//
//   npm run simulate               a million, from seed 0 on
//   npm run simulate -- 5000 42    5000, from seed 42 on

import { spawnSync } from 'node:child_process'
import process from 'node:process'

const [histories = '1000000', seed = '0'] = process.argv.slice(2)
const env = { ...process.env, SYNCKAIROS_HISTORIES: histories, SYNCKAIROS_SEED: seed }
const args = ['test', '--release', '--locked', '--lib', 'simulation', '--', '--nocapture']
const { status } = spawnSync('cargo', args, { env, stdio: 'inherit' })
process.exit(status ?? 1)
