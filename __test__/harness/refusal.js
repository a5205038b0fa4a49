'use strict'

const { InvalidStateError, StateError } = require('../../index.js')

/**
 * What a call's promise is rejected with. A call that throws instead, or returns no promise, or
 * is not refused at all, fails the test.
 *
 * @param {() => Promise<unknown>} call
 * @returns {Promise<any>}
 */
async function refusalOf(call) {
  let promise
  try {
    promise = call()
  } catch (error) {
    throw new Error(`it threw instead of rejecting: ${error}`)
  }
  if (typeof promise?.then !== 'function') throw new Error(`it returned no promise: ${promise}`)
  return promise.then(
    (value) => {
      throw new Error(`it was not refused: ${JSON.stringify(value)}`)
    },
    (error) => error,
  )
}

/** What a call throws. One that returns fails the test. */
function thrownBy(call) {
  let value
  try {
    value = call()
  } catch (error) {
    return error
  }
  throw new Error(`it did not throw: ${value}`)
}

/** Expects the error of an argument, option or state that is invalid. */
function expectInvalid(error) {
  expect(error).toBeInstanceOf(InvalidStateError)
  expect(error).toBeInstanceOf(StateError)
  expect(error).toMatchObject({ name: 'InvalidStateError', code: 'INVALID_STATE' })
  expect(error.message).toContain(error.field)
}

module.exports = { expectInvalid, refusalOf, thrownBy }
