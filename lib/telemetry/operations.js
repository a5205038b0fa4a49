'use strict'

const { now } = require('../realm/clock.js')
const { StateDeserializationError } = require('../realm/errors.js')
const { isTraced, operation } = require('./channels.js')

/** @typedef {InstanceType<typeof import('./CallMeter.js').CallMeter>} CallMeter */
/** @typedef {import('../../state/tracing.js').OperationContext} OperationContext */

/**
 * Traces each call of these methods on the channel of operations, where somebody subscribes.
 *
 * Not by Node's `tracePromise`: it publishes the result, which is a session's content, and makes a
 * promise of another realm in the sandboxes of Jest and Vitest.
 *
 * @template {object} T
 * @param {T} prototype
 * @param {readonly string[]} names of methods that return promises
 * @param {(instance: T) => import('../../state/tracing.js').ServerAttributes} serverOf
 */
function traceCalls(prototype, names, serverOf) {
  for (const name of names) {
    replace(prototype, name, (method) => ({
      /** @this {any} @param {unknown[]} args */
      [name](...args) {
        if (!isTraced(operation)) return Reflect.apply(method, this, args)
        const attributes = { ...serverOf(this), 'db.operation.name': name, ...sizeOf(args) }
        return traced({ operation: name, attributes }, () => Reflect.apply(method, this, args))
      },
    }))
  }
}

/**
 * Counts each call of these methods. It costs each a promise of its own: a manager counts its calls
 * itself.
 *
 * @template {object} T
 * @param {T} prototype
 * @param {readonly string[]} names of methods that return promises, as the meter has them
 * @param {(instance: T) => CallMeter} meterOf
 */
function countCalls(prototype, names, meterOf) {
  for (const [number, name] of names.entries()) {
    replace(prototype, name, (method) => ({
      /** @this {any} @param {unknown[]} args */
      async [name](...args) {
        const began = now()
        const meter = meterOf(this)
        try {
          return meter.ok(number, began, await Reflect.apply(method, this, args), now())
        } catch (error) {
          throw meter.failed(number, began, error)
        }
      },
    }))
  }
}

/** @param {any} prototype @param {string} name @param {(method: Function) => Record<string, any>} make */
function replace(prototype, name, make) {
  const method = prototype[name]
  const { [name]: value } = make(method)
  Object.defineProperty(value, 'length', { value: method.length })
  Object.defineProperty(prototype, name, { value })
}

/** How many sessions or records a call is about, if it names several. @param {unknown[]} args */
function sizeOf([first]) {
  const isBatch = Array.isArray(first) && first.length !== 1
  return isBatch ? { 'db.operation.batch.size': first.length } : undefined
}

/**
 * @template T
 * @param {OperationContext} context
 * @param {() => Promise<T>} run
 */
function traced(context, run) {
  const { start, end } = operation
  return start.runStores(context, () => {
    try {
      return followed(context, run())
    } finally {
      end.publish(context)
    }
  })
}

/**
 * @template T
 * @param {OperationContext} context
 * @param {Promise<T>} promise
 */
async function followed(context, promise) {
  try {
    return await promise
  } catch (error) {
    context.error = withoutContent(error)
    operation.error.publish(context)
    throw error
  } finally {
    operation.asyncStart.publish(context)
    operation.asyncEnd.publish(context)
  }
}

/** The error, without what is stored. @param {unknown} error */
function withoutContent(error) {
  if (!(error instanceof StateDeserializationError)) return error
  const { sessionId, stack } = error
  return Object.assign(new StateDeserializationError(/** @type {string} */ (sessionId), ''), {
    stack,
  })
}

module.exports = { countCalls, traceCalls }
