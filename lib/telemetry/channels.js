'use strict'

const diagnostics = require('node:diagnostics_channel')

/** A call of a manager or a queue. */
const operation = diagnostics.tracingChannel('synckairos-state:operation')
/** An attempt to connect to Redis. */
const connect = diagnostics.tracingChannel('synckairos-state:connect')
/** A connection is ready, or lost. */
const connection = diagnostics.channel('synckairos-state:connection')
/** A subscription was interrupted, and has caught up. */
const gap = diagnostics.channel('synckairos-state:gap')
/** The database refused an audit record. */
const deadLetter = diagnostics.channel('synckairos-state:dead-letter')

/**
 * Whether somebody subscribes to one of its events. Node.js 20.12, older ones and Bun tell only of each
 * event.
 *
 * @param {typeof operation} channel
 */
function isTraced({ start, end, asyncStart, asyncEnd, error }) {
  return (
    start.hasSubscribers ||
    end.hasSubscribers ||
    asyncEnd.hasSubscribers ||
    error.hasSubscribers ||
    asyncStart.hasSubscribers
  )
}

/**
 * Publishes a message that is made only if somebody subscribes.
 *
 * @param {import('node:diagnostics_channel').Channel} channel
 * @param {() => object} make
 */
function publish(channel, make) {
  if (channel.hasSubscribers) channel.publish(make())
}

module.exports = { connect, connection, deadLetter, gap, isTraced, operation, publish }
