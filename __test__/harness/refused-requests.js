'use strict'

/**
 * For `proxy.rewritten`: makes Redis refuse some requests. Each is replaced on its way by a script
 * that answers with the error, so that answers stay in order.
 *
 * @param {RegExp} pattern of a request's words, joined by spaces
 * @param {string} error such as `BUSY Redis is busy`
 * @param {number} [times] how often; default: always
 * @returns {((words: Buffer[]) => (Buffer | string)[]) & { count: number }} `count`: how often so far
 */
function refusing(pattern, error, times = Number.POSITIVE_INFINITY) {
  const rewrite = (words) => {
    if (rewrite.count >= times || !pattern.test(words.map(String).join(' '))) return words
    rewrite.count++
    return ['EVAL', 'return redis.error_reply(ARGV[1])', '0', error]
  }
  rewrite.count = 0
  return rewrite
}

module.exports = { refusing }
