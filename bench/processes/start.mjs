import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { launchOn } from '../modes.mjs'

/**
 * Starts a script of this directory in a process of its own, and waits for its first message. The
 * process ends when it is told to, or when this one does.
 *
 * @param {string} file
 * @param {unknown[]} args
 * @param {string} [cpus] any, if left out
 */
export async function start(file, args, cpus) {
  const script = fileURLToPath(new URL(file, import.meta.url))
  const child = fork(script, args.map(String), launchOn(cpus))
  const [told] = await once(child, 'message')
  const stop = async () => {
    const ended = once(child, 'exit')
    child.disconnect()
    await ended
  }
  return { told, stop }
}
