'use strict'

const { EventEmitter } = require('node:events')
const { bound } = require('./context.js')

/** @typedef {(...args: any[]) => void} Listener */

/** The functions that were made here. @type {WeakSet<Function>} */
const wrappers = new WeakSet()

/**
 * An emitter whose listeners run in the async context in which they were added. What it adds is a
 * wrapper with the listener as its `listener`, as Node's `once` does: so Node's ways to find or
 * remove a listener find the wrapper.
 */
class ContextEmitter extends EventEmitter {
  /** @param {string | symbol} name @param {Listener} listener */
  on(name, listener) {
    return super.on(name, wrapped(listener))
  }

  /** @param {string | symbol} name @param {Listener} listener */
  addListener(name, listener) {
    return super.addListener(name, wrapped(listener))
  }

  /** @param {string | symbol} name @param {Listener} listener */
  prependListener(name, listener) {
    return super.prependListener(name, wrapped(listener))
  }

  /** @param {string | symbol} name @param {Listener} listener */
  once(name, listener) {
    return this.on(name, wrappedOnce(this, name, listener))
  }

  /** @param {string | symbol} name @param {Listener} listener */
  prependOnceListener(name, listener) {
    return this.prependListener(name, wrappedOnce(this, name, listener))
  }
}

/** @param {Listener} listener @returns {Listener} */
function wrapped(listener) {
  // Node refuses a listener that is no function.
  if (typeof listener !== 'function' || wrappers.has(listener)) return listener
  return wrap(bound(listener), listener)
}

/** @param {EventEmitter} emitter @param {string | symbol} name @param {Listener} listener */
function wrappedOnce(emitter, name, listener) {
  if (typeof listener !== 'function') return listener
  let isCalled = false
  const call = bound(listener)
  const wrapper = wrap(
    /** @this {any} */ function (/** @type {any[]} */ ...args) {
      if (isCalled) return undefined // By an event within an event.
      isCalled = true
      emitter.removeListener(name, wrapper)
      return Reflect.apply(call, this, args)
    },
    listener,
  )
  return wrapper
}

/** @param {Listener} wrapper @param {Listener} listener @returns {Listener} */
function wrap(wrapper, listener) {
  wrappers.add(wrapper)
  return Object.assign(wrapper, { listener })
}

module.exports = { ContextEmitter }
