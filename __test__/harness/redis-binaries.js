'use strict'

const fs = require('node:fs')
const { redisProgram } = require('./server-packages.js')

/**
 * The program of the servers that tests start, as nodes, replicas and sentinels, too: the one that
 * `SYNCKAIROS_TEST_SERVER` names, such as `valkey-9`; by default the `redis-server` of the PATH.
 */
function findRedis() {
  const name = process.env.SYNCKAIROS_TEST_SERVER
  if (!name) return 'redis-server'
  const program = redisProgram(name)
  if (fs.existsSync(program)) return program
  throw new Error(`${program} is missing: \`npm run setup\` fetches it`)
}

module.exports = { findRedis }
