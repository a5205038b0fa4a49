'use strict'

const { InvalidStateError } = require('../realm/errors.js')

/**
 * What is asked for of TLS.
 *
 * @typedef {object} TlsMode
 * @property {boolean} isRequired whether a server without TLS is refused
 * @property {boolean} verify whether the server's certificate is verified
 * @property {boolean} [anyName] whether any name in it will do
 */

/** @type {TlsMode} */
const VERIFY = Object.freeze({ isRequired: true, verify: true })
/** @type {TlsMode} */
const UNVERIFIED = Object.freeze({ isRequired: true, verify: false })
/** @type {TlsMode} */
const ANY_NAME = Object.freeze({ isRequired: true, verify: true, anyName: true })
/** @type {TlsMode} */
const IF_OFFERED = Object.freeze({ isRequired: false, verify: false })

/** As in `pg` 8: all that ask for TLS verify. @type {Record<string, TlsMode | null>} */
const SSLMODE = {
  disable: null,
  allow: VERIFY,
  prefer: VERIFY,
  require: VERIFY,
  'verify-ca': VERIFY,
  'verify-full': VERIFY,
  'no-verify': UNVERIFIED,
}

/** As in libpq, with `uselibpqcompat=true`. @type {Record<string, TlsMode | null>} */
const LIBPQ_SSLMODE = {
  disable: null,
  allow: IF_OFFERED,
  prefer: IF_OFFERED,
  require: UNVERIFIED,
  'verify-ca': ANY_NAME,
  'verify-full': VERIFY,
  'no-verify': UNVERIFIED,
}

/** As in `pg`, where `allow` in the environment asks for nothing. @type {Record<string, TlsMode | null>} */
const PGSSLMODE = { ...SSLMODE, allow: IF_OFFERED }

/** @type {Record<string, TlsMode | null>} */
const SSL = { ...SSLMODE, true: VERIFY, 1: VERIFY, on: VERIFY, false: null, 0: null, off: null }

/**
 * What a URL says of TLS; null for none, undefined where it does not say.
 *
 * @param {Record<string, string>} parameters
 * @returns {TlsMode | null | undefined}
 */
function tlsOfUrl({ ssl, sslmode, sslcert, sslkey, sslrootcert, sslnegotiation, ...parameters }) {
  if (sslmode) {
    if (parameters.uselibpqcompat !== 'true') return lookUp('sslmode', sslmode, SSLMODE)
    const given = lookUp('sslmode', sslmode, LIBPQ_SSLMODE)
    const mode = sslmode.toLowerCase() === 'require' && sslrootcert ? ANY_NAME : given
    if (mode === ANY_NAME && (!sslrootcert || sslrootcert === 'system')) {
      // Everybody has a certificate of some public authority, for some name.
      throw new InvalidStateError(
        'sslmode',
        'without a name, one authority of your own may vouch: it needs sslrootcert with its file; or use verify-full',
      )
    }
    return mode
  }
  if (sslcert || sslkey || sslrootcert) return VERIFY
  if (ssl) return lookUp('ssl', ssl, SSL)
  return sslnegotiation === 'direct' ? VERIFY : undefined
}

/** What `PGSSLMODE` says of TLS. @param {string | undefined} value */
function tlsOfEnvironment(value) {
  return value ? lookUp('PGSSLMODE', value, PGSSLMODE) : undefined
}

/** @param {string} field @param {string} word @param {Record<string, TlsMode | null>} known */
function lookUp(field, word, known) {
  const name = word.toLowerCase()
  if (Object.hasOwn(known, name)) return known[name]
  throw new InvalidStateError(field, `it is none of ${Object.keys(known).sort().join(', ')}`)
}

module.exports = { tlsOfUrl, tlsOfEnvironment, UNVERIFIED, VERIFY }
