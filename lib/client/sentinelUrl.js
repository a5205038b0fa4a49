'use strict'

const { decoded, partsOf, queryOf, refused } = require('./serverUrl.js')

const SENTINEL_PORT = 26_379

/** The scheme; who speaks to the master; the sentinels; the master's name; the database; the query. */
const FORM =
  /^(rediss?)-sentinel:\/\/(?:([^/?#]*)@)?([^/?#@]*)(?:\/([^/?#]*))?(?:\/([^/?#]*))?(\?[^#]*)?$/i

/** @param {string} text */
function isSentinelUrl(text) {
  return /^rediss?-sentinel:/i.test(text)
}

/**
 * The parts of the sentinels' URL. `URL` cannot read it, as it names several hosts. What is refused is
 * never repeated in the error, as in `partsOf`.
 *
 * @param {string} text
 */
function sentinelPartsOf(text) {
  const found = FORM.exec(text)
  if (found === null) throw refused('it cannot be read')
  const [, scheme, login = '', hosts = '', name = '', path = '', search = ''] = found
  if (name === '') throw refused('it names no master: redis-sentinel://host:26379/name')
  const url = new URL(`redis://h/${path}${search}`)
  const query = queryOf(url, ['db', 'sentinelUsername', 'sentinelPassword'])
  const part = (/** @type {string} */ host) =>
    partsOf(`${scheme}://${login}@${host}/${path || query.db || ''}`, SENTINEL_PORT)
  const sentinels = hosts.split(',').map(part)
  const { username, password, db, tls } = part('master')
  return {
    username,
    password,
    db,
    tls,
    name: decoded(name),
    sentinels: sentinels.map(({ host, port }) => ({ host, port })),
    sentinelUsername: query.sentinelUsername,
    sentinelPassword: query.sentinelPassword,
    sentinelTLS: tls,
  }
}

module.exports = { isSentinelUrl, sentinelPartsOf }
