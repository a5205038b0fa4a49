'use strict'

const { AsyncResource } = require('node:async_hooks')

const TYPE = 'synckairos-state'

/** The async context in which this module was loaded. */
const loading = new AsyncResource(TYPE)

/**
 * Runs `task` in no caller's async context: what it makes keeps none alive.
 *
 * @template T
 * @param {() => T} task
 * @returns {T}
 */
function detached(task) {
  return loading.runInAsyncScope(task)
}

/**
 * The same callback, which always runs in the async context of whoever registers it now.
 *
 * @param {Function} callback
 * @returns {(this: any, ...args: any[]) => any}
 */
function bound(callback) {
  const registration = new AsyncResource(TYPE)
  return function (...args) {
    return registration.runInAsyncScope(/** @type {any} */ (callback), this, ...args)
  }
}

module.exports = { bound, detached }
