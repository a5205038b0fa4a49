'use strict'

const path = require('node:path')
const { InvalidStateError } = require('../realm/errors.js')

/** @param {string} text */
function isSqliteUrl(text) {
  return /^\s*sqlite:/i.test(text)
}

/**
 * The absolute path in `sqlite:audit.db`, `sqlite:///var/lib/audit.db` or `sqlite:C:\audit.db`; null for
 * `sqlite::memory:`. A relative path begins in the working directory. The directory need not exist yet.
 *
 * @param {string} text
 * @returns {string | null}
 */
function parseSqliteUrl(text) {
  const rest = text.trim().slice('sqlite:'.length)
  if (rest === ':memory:') return null
  const question = rest.indexOf('?')
  if (question >= 0) refuse(`SQLite takes no parameters${named(rest.slice(question + 1))}`)
  if (rest.includes('#')) refuse('it has a #: in a path, write # as %23')
  if (/^\/\/(?!\/)/.test(rest)) {
    refuse('it names a host: write sqlite:audit.db, or sqlite:/// and an absolute path')
  }
  // After `//` a drive of Windows has a slash before it: sqlite:///C:/audit.db
  const file = decoded(rest.replace(/^\/\/(?=\/)/, '')).replace(/^\/(?=[a-z]:[\\/])/i, '')
  if (file === '') refuse('it names no file: write sqlite:audit.db, or sqlite::memory:')
  if (file.startsWith(':')) {
    refuse('its path begins with a colon: write sqlite::memory:, or sqlite:./ before such a path')
  }
  if (file.includes('\0')) refuse('its path has a null character')
  return resolved(file)
}

/** @param {string} file */
function resolved(file) {
  try {
    return path.resolve(file)
  } catch {
    refuse('its path is relative, and the working directory is gone')
  }
}

/** The names of parameters, in words. @param {string} query */
function named(query) {
  const names = [...new URLSearchParams(query).keys()].join(', ')
  return names && `: remove ${names}; in a path, write ? as %3F`
}

/** A % that begins no escape is taken as it is. @param {string} text */
function decoded(text) {
  try {
    return text.replace(/(?:%[\da-f]{2})+/gi, decodeURIComponent)
  } catch {
    refuse('its path has a % that begins no character of UTF-8: write % as %25')
  }
}

/** @param {string} reason @returns {never} */
function refuse(reason) {
  throw new InvalidStateError('databaseUrl', reason)
}

module.exports = { isSqliteUrl, parseSqliteUrl }
