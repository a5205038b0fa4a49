import { Buffer } from 'node:buffer'
import { makeSession } from './session.mjs'

/** How many partitions a cluster has unless it was told otherwise. */
export const PARTITIONS = 64
export const SLOTS = 16_384

/** The number of the partition that a session is in. */
export const partitionOf = (sessionId) => crc16(sessionId) % PARTITIONS

/** The slot of a hash tag. */
export const slotOf = (tag) => crc16(tag) % SLOTS

/** Sessions by their partition's number. */
export function oneOfEachPartition() {
  const sessions = new Map()
  while (sessions.size < PARTITIONS) {
    const session = makeSession()
    sessions.set(partitionOf(session.session_id), session)
  }
  return Array.from({ length: PARTITIONS }, (_, number) => sessions.get(number))
}

/** CRC-16/XMODEM, with which a cluster spreads its keys. */
function crc16(text) {
  let crc = 0
  for (const byte of Buffer.from(text)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : crc << 1
  }
  return crc
}
