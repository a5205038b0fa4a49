'use strict'

/** What a session's clock measures. */
const SyncMode = Object.freeze({
  PER_PARTICIPANT: 'per_participant',
  PER_CYCLE: 'per_cycle',
  PER_GROUP: 'per_group',
  GLOBAL: 'global',
  COUNT_UP: 'count_up',
})

/** Where a session is in its life. */
const SyncStatus = Object.freeze({
  PENDING: 'pending',
  RUNNING: 'running',
  PAUSED: 'paused',
  EXPIRED: 'expired',
  COMPLETED: 'completed',
  CANCELLED: 'cancelled',
})

module.exports = { SyncMode, SyncStatus }
