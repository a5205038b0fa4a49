'use strict'

/** All keys but the ledgers, where managers note their own writes for a quarter of an hour. */
async function keysIn(redis) {
  const keys = await redis.keys('*')
  return keys.filter((key) => !key.startsWith('synckairos:ledger:')).sort()
}

module.exports = { keysIn }
