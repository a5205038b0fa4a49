'use strict'

const { Buffer } = require('node:buffer')
const { InvalidStateError } = require('../realm/errors.js')

/**
 * One text in PEM, also of several; undefined where there is none.
 *
 * @param {string} field
 * @param {unknown} file
 */
function pem(field, file) {
  if (file === undefined) return undefined
  const texts = [file].flat().map((one) => {
    const text = one instanceof Uint8Array ? Buffer.from(one).toString() : one
    if (typeof text !== 'string' || !text.includes('-----BEGIN ')) {
      throw new InvalidStateError(field, 'it is not in PEM')
    }
    return text
  })
  return texts.join('\n')
}

module.exports = { pem }
