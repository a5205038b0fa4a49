'use strict'

const { InvalidStateError } = require('../realm/errors.js')
const { checkInteger } = require('../settings/options.js')

/**
 * @param {string} field
 * @param {any} given
 * @param {number} [defaultPort]
 * @returns {{ host: string, port: number }}
 */
function endpointOf(field, given, defaultPort) {
  const { host, port = defaultPort } = given ?? {}
  if (!isHost(host)) refuse(`${field}.host`, 'it is no name of a host, and no address')
  checkInteger(`redis.${field}.port`, port, 1, 65_535)
  return { host, port }
}

/** Errors name the host, and must hold no password: a whole URL is no host. @param {unknown} host */
function isHost(host) {
  return typeof host === 'string' && /^[^\s/@?#]+$/.test(host)
}

/** Where servers are, by the address that is announced. @param {unknown} natMap */
function natMapOf(natMap = {}) {
  if (typeof natMap !== 'object' || natMap === null) {
    refuse('natMap', "it is not an object such as { '10.0.0.1:6379': { host, port } }")
  }
  const entries = Object.entries(natMap).map(([announced, where]) => {
    if (!/^.+:\d+$/.test(announced)) refuse('natMap', 'one of its names is not host:port')
    return [announced, endpointOf(`natMap['${announced}']`, where)]
  })
  return Object.fromEntries(entries)
}

/** @param {string} setting @param {string} reason @returns {never} */
function refuse(setting, reason) {
  throw new InvalidStateError(`redis.${setting}`, reason)
}

module.exports = { endpointOf, isHost, natMapOf, refuse }
