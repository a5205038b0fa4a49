'use strict'

const { decoded, partsOf, queryOf, refused } = require('./serverUrl.js')

/** The scheme; who is speaking; the nodes; the database; the query. */
const FORM = /^(rediss?)-cluster:\/\/(?:([^/?#]*)@)?([^/?#@]*)(?:\/([^/?#]*))?(\?[^#]*)?$/i

/** @param {string} text */
function isClusterUrl(text) {
  return /^rediss?-cluster:/i.test(text)
}

/**
 * The parts of a cluster's URL. `URL` cannot read it, as it names several hosts. What is refused is
 * never repeated in the error, as in `partsOf`.
 *
 * @param {string} text
 */
function clusterPartsOf(text) {
  const found = FORM.exec(text)
  if (found === null) throw refused('it cannot be read')
  const [, scheme, login = '', hosts = '', path = '', search = ''] = found
  const { db = '0', partitions } = queryOf(new URL(`redis://h/${search}`), ['db', 'partitions'])
  if (decoded(path || db) !== '0') throw refused('a cluster has no database but 0')
  const nodes = hosts.split(',').map((host) => partsOf(`${scheme}://${login}@${host}`))
  const [{ username, password, tls }] = /** @type {[typeof nodes[0]]} */ (nodes)
  return {
    username,
    password,
    tls,
    nodes: nodes.map(({ host, port }) => ({ host, port })),
    partitions: partitions === undefined ? undefined : Number(partitions),
  }
}

module.exports = { clusterPartsOf, isClusterUrl }
