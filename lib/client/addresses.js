'use strict'

const { isMap } = require('node:util').types
const { InvalidStateError } = require('../realm/errors.js')
const { checkInteger, withDefaults } = require('../settings/options.js')

/** An announced address, as errors name it, too: an IPv6 address may be in brackets. */
const ANNOUNCED = /^(?:\[(.+)\]|(.+)):(\d+)$/

/**
 * @param {string} field
 * @param {any} given
 * @param {number} [defaultPort]
 * @returns {{ host: string, port: number }}
 */
function endpointOf(field, given, defaultPort) {
  if (typeof given !== 'object') refuse(field, 'it is not an object: { host, port }')
  const { host, port } = withDefaults(
    { host: undefined, port: defaultPort },
    given,
    `redis.${field}`,
  )
  if (!isHost(host)) refuse(`${field}.host`, 'it is no name of a host, and no address')
  checkInteger(`redis.${field}.port`, port, 1, 65_535)
  return /** @type {any} */ ({ host, port })
}

/** Errors name the host, and must hold no password: a whole URL is no host. @param {unknown} host */
function isHost(host) {
  return typeof host === 'string' && /^[^\s/@?#]+$/.test(host)
}

/** Where servers are, by the address that is announced. @param {unknown} natMap */
function natMapOf(natMap = {}) {
  // Or else what was meant to be in it would count for nothing.
  const isList = Array.isArray(natMap) || isMap(natMap)
  if (typeof natMap !== 'object' || natMap === null || isList) {
    refuse('natMap', "it is not an object such as { '10.0.0.1:6379': { host, port } }")
  }
  const entries = Object.entries(natMap).map(([announced, where]) => {
    const [, address, host = address, port] = ANNOUNCED.exec(announced) ?? []
    if (!isHost(host)) refuse('natMap', 'one of its names is not host:port')
    return [`${host}:${port}`, endpointOf(`natMap['${announced}']`, where)]
  })
  return Object.fromEntries(entries)
}

/** @param {string} setting @param {string} reason @returns {never} */
function refuse(setting, reason) {
  throw new InvalidStateError(`redis.${setting}`, reason)
}

module.exports = { endpointOf, isHost, natMapOf, refuse }
