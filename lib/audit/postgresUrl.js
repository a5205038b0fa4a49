'use strict'

const { InvalidStateError } = require('../realm/errors.js')

const FIELD = 'databaseUrl'

/**
 * @typedef {object} PostgresUrl
 * @property {{ host: string, port: string }[]} hosts either part may be empty
 * @property {string} user
 * @property {string} password
 * @property {string} database
 * @property {Record<string, string>} parameters
 */

/**
 * Splits `postgres://user:password@host:port,host:port/database?parameter=value`. Errors hold no part
 * of the URL: a password with an unescaped character ends up anywhere.
 *
 * @param {string} text
 * @returns {PostgresUrl}
 */
function parsePostgresUrl(text) {
  const url = text.trim()
  if (/^["'`]/.test(url))
    refuse('it begins with a quotation mark: remove the quotes around the URL')
  const parts = /^postgres(?:ql)?:\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?(#?)/is.exec(url)
  if (!parts) refuse('it does not begin with postgres://, postgresql:// or sqlite:')
  const [, authority = '', path = '', query = '', hash] = parts
  if (hash) refuse('it has a #: in a user name, a password or a value, write # as %23')
  // The @ before the host is behind an unescaped character of the password.
  if (path.includes('@')) refuse('there is a / before its last @: in a password, write / as %2F')
  const at = authority.lastIndexOf('@')
  const { user, password } = credentials(authority.slice(0, Math.max(at, 0)))
  const hosts = authority
    .slice(at + 1)
    .split(',')
    .map((one) => hostOf(one, at < 0 && query.includes('@')))
  const parameters = Object.fromEntries(new URLSearchParams(query))
  return { hosts, user, password, database: decoded(path, 'database'), parameters }
}

/** @param {string} text */
function credentials(text) {
  const colon = text.indexOf(':')
  const [user, password] = colon < 0 ? [text] : [text.slice(0, colon), text.slice(colon + 1)]
  return { user: decoded(user, 'user name'), password: decoded(password, 'password') }
}

/** @param {string} text @param {boolean} hasLateAt whether there is an @ in the query alone */
function hostOf(text, hasLateAt) {
  const parts = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(text)
  if (!parts) {
    if (hasLateAt) refuse('there is a ? before its last @: in a password, write ? as %3F')
    refuse(
      'its port is not a number; in a user name or a password, write / as %2F, : as %3A, @ as %40, ' +
        '# as %23 and ? as %3F',
    )
  }
  const [, host = '', port = ''] = parts
  return { host: decoded(host, 'host').replace(/^\[(.*)\]$/, '$1'), port }
}

/**
 * A % that begins no escape is taken as it is, as `pg` does.
 *
 * @param {string | undefined} text
 * @param {string} part
 */
function decoded(text, part) {
  try {
    return (text ?? '').replace(/(?:%[\da-f]{2})+/gi, decodeURIComponent)
  } catch {
    refuse(`its ${part} has a % that begins no character of UTF-8: write % as %25`)
  }
}

/** @param {string} reason @returns {never} */
function refuse(reason) {
  throw new InvalidStateError(FIELD, reason)
}

module.exports = { parsePostgresUrl }
