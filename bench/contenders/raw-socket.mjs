import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import net from 'node:net'
import { operationsOf } from './client.mjs'

/** The least that Node can do: one socket, one call at a time, and no more of the protocol than that needs. */
export async function open(setting) {
  const buffer = Buffer.allocUnsafeSlow(65_536)
  let filled = 0
  let answer
  const callback = (length) => {
    filled += length
    const text = buffer.latin1Slice(0, filled)
    const end = text.indexOf('\r\n')
    if (end < 0) return true
    const head = text.slice(1, end)
    const isText = text.startsWith('$')
    if (isText && filled < end + 4 + Number(head)) return true
    filled = 0
    const value = isText ? text.slice(end + 2, -2) : head
    answer(/^[*-]/.test(text) ? [text] : value) // A refusal is an array or an error.
    return true
  }
  const onread = { buffer: () => buffer.subarray(filled), callback }
  const socket = net.connect({ ...setting.redis, noDelay: true, onread })
  await once(socket, 'connect')
  const send = (words) => {
    let command = `*${words.length}\r\n`
    for (const word of words) command += `$${word.length}\r\n${word}\r\n`
    socket.write(command, 'latin1')
    return new Promise((resolve) => {
      answer = resolve
    })
  }
  const client = { get: (key) => send(['GET', key]), send }
  return {
    operations: operationsOf(client, setting, { dates: false }),
    close: async () => socket.destroy(),
  }
}
