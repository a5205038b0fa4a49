// The design in use today, in our own writing, as a competent team runs it: the baseline of what
// concerns the audit.

export { DBWriteQueue } from './DBWriteQueue.mjs'
export { RedisStateManager } from './RedisStateManager.mjs'
