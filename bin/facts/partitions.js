'use strict'

// Where a cluster keeps a session: each partition is a hash tag, the same for every instance and version.

const SLOTS = 16384

/** The slot of a key without a hash tag: its CRC16 (XMODEM). @param {string} key */
function slotOf(key) {
  return crc16(key) % SLOTS
}

/** @param {string} text */
function crc16(text) {
  let crc = 0
  for (const byte of Buffer.from(text)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff
  }
  return crc
}

/**
 * The hash tags of so many partitions: for each, the smallest number in the slot in the middle of its share.
 *
 * @param {number} count
 * @returns {string[]}
 */
function tagsOf(count) {
  /** @type {Map<number, number>} which partition is in which slot */
  const sought = new Map()
  for (let place = 0; place < count; place++) {
    sought.set(Math.floor(((2 * place + 1) * SLOTS) / (2 * count)), place)
  }
  const tags = Array(count).fill('')
  for (let number = 0; sought.size > 0; number++) {
    const slot = slotOf(String(number))
    const place = sought.get(slot)
    if (place === undefined) continue
    tags[place] = String(number)
    sought.delete(slot)
  }
  return tags
}

/**
 * The name of a partition's key or channel that begins with `name`.
 *
 * @param {string} name
 * @param {string} tag
 * @param {{ between?: string, after?: string }} [around] the tag
 */
function inPartition(name, tag, { between = '', after = '' } = {}) {
  return name.includes('{') ? `{${tag}}:${name}` : `${name}${between}{${tag}}${after}`
}

/**
 * The key of a session in a cluster.
 *
 * @param {string} keyPrefix
 * @param {string} sessionId
 * @param {number} count of the partitions
 */
function sessionKey(keyPrefix, sessionId, count) {
  const tag = tagsOf(count)[crc16(sessionId) % count] ?? ''
  return inPartition(keyPrefix, tag, { after: ':' }) + sessionId
}

module.exports = { inPartition, sessionKey, slotOf, tagsOf }
