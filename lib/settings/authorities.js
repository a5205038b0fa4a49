'use strict'

const fs = require('node:fs')

/** @type {string | undefined} */
let known

/**
 * The certificate authorities that Node trusts, with those of `NODE_EXTRA_CA_CERTS`: in PEM, one
 * after the other. Undefined where the runtime does not say.
 */
function authorities() {
  known ??= all().join('\n')
  return known || undefined
}

/** @returns {readonly string[]} */
function all() {
  const tls = require('node:tls') // Of Node itself; to load it takes 20 ms.
  return tls.getCACertificates?.('default') ?? [...(tls.rootCertificates ?? []), ...extra()]
}

function extra() {
  const file = process.env.NODE_EXTRA_CA_CERTS
  if (!file) return []
  try {
    return [fs.readFileSync(file, 'utf8')]
  } catch {
    return [] // Node itself warns of it.
  }
}

module.exports = { authorities }
