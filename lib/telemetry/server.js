'use strict'

/**
 * Where sessions and records are, by OpenTelemetry's names. Of a cluster the first of the given nodes, and
 * of a server that sentinels name the first of the sentinels: which one answers a call is not known here.
 *
 * @param {any} settings of the core's client
 * @param {boolean} isMemory
 * @returns {import('../../state/tracing.js').ServerAttributes}
 */
function serverAttributes({ host, port, path, nodes, sentinels, db }, isMemory) {
  if (isMemory) return Object.freeze({ 'db.system.name': 'memory' })
  const [first] = nodes ?? sentinels ?? [{ host: path ?? host, port }]
  return Object.freeze({
    'db.system.name': 'redis',
    'db.namespace': String(db),
    'server.address': first.host,
    ...(first.port !== undefined && { 'server.port': first.port }),
  })
}

module.exports = { serverAttributes }
