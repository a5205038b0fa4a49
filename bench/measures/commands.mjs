import { once } from 'node:events'
import { Redis } from 'ioredis'

/**
 * What one operation sends to Redis, as MONITOR sees it: the commands that clients sent, each a
 * round trip where one awaits the other, and those that a script made inside Redis.
 *
 * @param {string} url
 * @param {() => Promise<unknown>} operation
 */
export async function watchCommands(url, operation) {
  const redis = new Redis(url)
  const monitor = await redis.monitor()
  const seen = { sent: [], inside: [] }
  const over = once(monitor, 'over')
  const listen = (_time, [command, argument], source) => {
    if (argument === 'over') monitor.off('monitor', listen).emit('over')
    else (source === 'lua' ? seen.inside : seen.sent).push(command.toUpperCase())
  }
  monitor.on('monitor', listen)
  await operation()
  await redis.echo('over')
  await over
  monitor.disconnect()
  await redis.quit()
  return seen
}
