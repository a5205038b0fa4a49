'use strict'

// Spread in plain sight: it is by reading this file that `import` learns what a CommonJS module
// exports. So there is one set of classes, and `instanceof` holds across both module systems.
module.exports = {
  ...require('./state/RedisStateManager.js'),
  ...require('./state/DBWriteQueue.js'),
  ...require('./config/redis.js'),
  ...require('./types/session.js'),
  ...require('./errors/StateErrors.js'),
}
