import { once } from 'node:events'
import net from 'node:net'
import { operationsOf } from './client.mjs'

/** The least that Node can do: one socket, one call at a time, and no more of the protocol than that needs. */
export async function open(setting) {
  const { hostname, port } = new URL(setting.url)
  const socket = net.connect({ host: hostname, port: Number(port), noDelay: true })
  await once(socket, 'connect')
  let text = ''
  let answer
  socket.setEncoding('latin1')
  socket.on('data', (data) => {
    text += data
    const end = text.indexOf('\r\n')
    if (end < 0) return
    const head = text.slice(1, end)
    const isText = text.startsWith('$')
    if (isText && text.length < end + 4 + Number(head)) return
    const value = isText ? text.slice(end + 2, -2) : head
    const number = text.startsWith(':')
    text = ''
    answer(number ? Number(value) : value)
  })
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
