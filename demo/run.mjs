// Prepares what the demo needs (two minutes at most in a fresh clone), then plays it.
//
//   npm run demo               two worker threads, on `memory:` and a SQLite file; no server
//   npm run demo -- --servers  two processes, on Redis and PostgreSQL; private ones, unless REDIS_URL
//                              and DATABASE_URL name others. Either variable implies --servers.

import process from 'node:process'
import { parseArgs } from 'node:util'
import { FOR_DEMO, forDemoOnServers, setUp } from '../scripts/setup.mjs'

const { env } = process
const { values } = parseArgs({ options: { servers: { type: 'boolean' } } })
const onServers = values.servers || Boolean(env.REDIS_URL || env.DATABASE_URL)

await setUp(onServers ? forDemoOnServers(env) : FOR_DEMO)
const { play } = await import('./director.mjs')
const place = await import(onServers ? './on-servers.mjs' : './in-process.mjs')
process.exit(await play(place))
