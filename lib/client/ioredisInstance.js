'use strict'

const {
  NO_CLUSTER,
  addressOf,
  credentials,
  natMapOf,
  prefixOf,
  refuse,
  sentinelCredentials,
  tlsOf,
  where,
} = require('./instanceSettings.js')

/** The settings of an instance of ioredis, as ours. @param {any} instance */
function ofIoredis(instance) {
  const { options } = instance
  if (instance.isCluster) refuse('isCluster', NO_CLUSTER)
  const isSentinel = Boolean(options?.sentinels)
  if (!isSentinel && typeof options?.host !== 'string' && typeof options?.path !== 'string') {
    refuse('options', 'they do not say where the server is')
  }
  if (options.Connector) refuse('Connector', 'this module makes its own connections')
  const { host, port, path, username, password, keyPrefix, tls } = options
  return {
    ...(isSentinel ? sentinelsOfIoredis(options) : where(path, host, port)),
    ...credentials(username, password),
    // The owner may have selected another since.
    db: instance.condition?.select ?? options.db ?? 0,
    tls:
      tls && (!isSentinel || options.enableTLSForSentinelMode)
        ? tlsOf(tls === true ? {} : tls, host)
        : undefined,
    keyPrefix: prefixOf(keyPrefix),
  }
}

/** @param {any} options */
function sentinelsOfIoredis({ sentinels, name, role, natMap, sentinelTLS, ...options }) {
  if (role === 'slave') refuse('role', 'this module speaks to the master only')
  return {
    sentinels: sentinels.map(addressOf),
    name,
    ...sentinelCredentials(options.sentinelUsername, options.sentinelPassword),
    sentinelTLS: sentinelTLS ? tlsOf(sentinelTLS, undefined) : undefined,
    natMap: natMapOf('natMap', natMap),
  }
}

module.exports = { ofIoredis }
