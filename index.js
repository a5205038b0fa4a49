'use strict'

// Spread in plain sight: it is by reading this file that `import` learns what a CommonJS module
// exports. So there is one set of classes, and `instanceof` holds across both module systems.
module.exports = {
  ...require('./lib/session/RedisStateManager.js'),
  ...require('./lib/audit/DBWriteQueue.js'),
  ...require('./lib/client/RedisClient.js'),
  ...require('./lib/realm/types.js'),
  ...require('./lib/realm/errors.js'),
}
