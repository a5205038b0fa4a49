'use strict'

// Spread in plain sight: it is by reading this file that `import` learns what a CommonJS module
// exports. So there is one set of classes, and `instanceof` holds across both module systems.
module.exports = {
  ...require('./lib/RedisStateManager.js'),
  ...require('./lib/DBWriteQueue.js'),
  ...require('./lib/RedisClient.js'),
  ...require('./lib/types.js'),
  ...require('./lib/errors.js'),
}
