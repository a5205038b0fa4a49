'use strict'

/**
 * Listens to a channel as anybody could, with ioredis alone.
 *
 * @param {import('ioredis').Redis} client one of its own
 * @param {string} channel
 * @returns {Promise<string[]>} what came so far; it grows
 */
async function listen(client, channel) {
  const messages = []
  client.on('message', (_channel, text) => messages.push(text))
  await client.subscribe(channel)
  return messages
}

/**
 * What Redis is told by one address from now on, each as a list of words. What a script calls
 * itself is not among it.
 *
 * @param {import('./redis.js').RedisServer} server
 * @param {string} address as `CLIENT INFO` names it
 */
async function eavesdrop(server, address) {
  const asking = server.client()
  await asking.ping()
  const monitor = await asking.monitor()
  const heard = []
  const marks = new Set()
  monitor.on('monitor', (_time, words, source) => {
    if (words[0].toUpperCase() === 'ECHO') marks.add(words[1])
    else if (source === address) heard.push(words)
  })
  return { heard, marks, end: () => monitor.disconnect() }
}

module.exports = { eavesdrop, listen }
