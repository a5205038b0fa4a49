'use strict'

const { InvalidStateError } = require('../realm/errors.js')
const { checkInteger } = require('../settings/options.js')

/** What sentinels accept as the name of a master. A part of a URL that is none is not repeated. */
const NAME = /^[\w.-]+$/

const SENTINEL_PORT = 26_379

/**
 * The sentinels of a server, as the core wants to know them.
 *
 * @param {Record<string, any>} given the settings of the server
 * @param {object | undefined} tls of the sentinels, as the core wants to know it
 */
function sentinelsOf({ sentinels, name, sentinelUsername, sentinelPassword, natMap }, tls) {
  if (!Array.isArray(sentinels) || sentinels.length === 0) {
    refuse('sentinels', 'it is not a list of { host, port } with one sentinel at least')
  }
  if (typeof name !== 'string' || !NAME.test(name)) {
    refuse('name', 'it is not the name of a master: letters, digits, and any of . - _')
  }
  for (const [field, value] of Object.entries({ sentinelUsername, sentinelPassword })) {
    if (value !== undefined && typeof value !== 'string') refuse(field, 'it is not a string')
  }
  return {
    name,
    sentinels: sentinels.map((one, at) => endpoint(`sentinels[${at}]`, one, SENTINEL_PORT)),
    username: sentinelUsername || undefined,
    password: sentinelPassword || undefined,
    tls,
    natMap: mapped(natMap),
  }
}

/** Where servers are, by the address that sentinels announce. @param {unknown} natMap */
function mapped(natMap = {}) {
  if (typeof natMap !== 'object' || natMap === null) {
    refuse('natMap', "it is not an object such as { '10.0.0.1:6379': { host, port } }")
  }
  const entries = Object.entries(natMap).map(([announced, where]) => {
    const [, host] = /^(.+):\d+$/.exec(announced) ?? []
    if (!isHost(host)) refuse('natMap', 'one of its names is not host:port')
    return [announced, endpoint(`natMap['${announced}']`, where)]
  })
  return Object.fromEntries(entries)
}

/**
 * @param {string} field
 * @param {any} given
 * @param {number} [defaultPort]
 * @returns {{ host: string, port: number }}
 */
function endpoint(field, given, defaultPort) {
  const { host, port = defaultPort } = given ?? {}
  if (!isHost(host)) refuse(`${field}.host`, 'it is no name of a host, and no address')
  checkInteger(`redis.${field}.port`, port, 1, 65_535)
  return { host, port }
}

/** Errors name the host, and must hold no password: a whole URL is no host. @param {unknown} host */
function isHost(host) {
  return typeof host === 'string' && /^[^\s/@?#]+$/.test(host)
}

/** @param {string} setting @param {string} reason @returns {never} */
function refuse(setting, reason) {
  throw new InvalidStateError(`redis.${setting}`, reason)
}

module.exports = { isHost, sentinelsOf }
