// Gets ready what the demo needs, which takes two minutes at most in a fresh clone, and shows it.
//
//   npm run demo               two worker threads, on `memory:` and a SQLite file; no server
//   npm run demo -- --servers  two processes, on Redis and PostgreSQL; private ones, unless REDIS_URL
//                              and DATABASE_URL name others. Either of the two asks for this, too.

import process from 'node:process'
import { parseArgs } from 'node:util'
import { FOR_DEMO, forDemoOnServers, setUp } from '../scripts/setup.mjs'

const { env } = process
const { values } = parseArgs({ options: { servers: { type: 'boolean' } } })
const onServers = values.servers || Boolean(env.REDIS_URL || env.DATABASE_URL)

await setUp(onServers ? forDemoOnServers(env) : FOR_DEMO)
const { play } = await import('./index.mjs')
const place = await import(onServers ? './on-servers.mjs' : './in-process.mjs')
process.exit(await play(place))
