'use strict'

const { commandNames } = require('./commandNames.js')

/**
 * The method that a class has for all commands: `(name, args, asBuffers)`.
 *
 * @type {unique symbol}
 */
const RUN = Symbol('run')

/** @typedef {(error: Error | null, result?: any) => void} Callback */

/**
 * Gives a class a method for each command of Redis, and one whose reply holds buffers (`getBuffer`).
 * Methods that the class has already stay.
 *
 * @param {any} prototype
 */
function addCommands(prototype) {
  for (const name of commandNames) addCommand(prototype, name)
}

/** @param {any} target @param {string} name */
function addCommand(target, name) {
  /** @this {any} @param {any[]} args */
  const run = function (...args) {
    return this[RUN](name, args, false)
  }
  /** @this {any} @param {any[]} args */
  const runBuffer = function (...args) {
    return this[RUN](name, args, true)
  }
  addMethod(target, name, run)
  addMethod(target, `${name}Buffer`, runBuffer)
}

/**
 * Assigned, not defined: for all commands that takes a tenth of the time, of which `require` has little.
 *
 * @param {any} target
 * @param {string} name
 * @param {Function} method
 */
function addMethod(target, name, method) {
  if (!Object.hasOwn(target, name)) target[name] = method
}

/**
 * Takes the callback from the end of a method's arguments, where there is one.
 *
 * @param {any[]} args
 * @returns {Callback | undefined}
 */
function takeCallback(args) {
  return typeof args.at(-1) === 'function' ? args.pop() : undefined
}

/**
 * Tells a callback what a promise comes to. Returns the promise; whoever gives a callback need not
 * look at it.
 *
 * @template T
 * @param {Promise<T>} promise
 * @param {Callback | undefined} callback
 */
function withCallback(promise, callback) {
  if (callback) {
    promise.then(
      (result) => callback(null, result),
      (error) => callback(error),
    )
  }
  return promise
}

module.exports = { RUN, addCommands, addMethod, takeCallback, withCallback }
