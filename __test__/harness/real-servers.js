'use strict'

// Whatever starts a real server loads this and asks first. So the tests that may start one are those
// that load this, directly or not: `npm run test:quick` leaves them out.

/** Throws where no server may be started: then a test needs one that was not expected to. */
function allowServer(name) {
  if (process.env.SYNCKAIROS_TEST_SERVERS !== 'none') return
  throw new Error(`${name} may not be started: \`npm run test:quick\` runs what needs no server`)
}

module.exports = { allowServer }
