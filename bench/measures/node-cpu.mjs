import { setTimeout } from 'node:timers/promises'

/**
 * Adds to the figures of a turn what an operation costs the servers (`redisCpu`, microseconds), all of them
 * together.
 *
 * @param {import('ioredis').Redis[]} nodes
 * @param {() => Promise<{ count: number }>} turn
 */
export async function withCpuOf(nodes, turn) {
  const before = await Promise.all(nodes.map(cpuSeconds))
  const figures = await turn()
  const after = await Promise.all(nodes.map(cpuSeconds))
  const seconds = after.reduce((sum, one, at) => sum + one - before[at], 0)
  return { ...figures, redisCpu: (seconds * 1e6) / figures.count }
}

/**
 * The CPU time of the busiest node in so many milliseconds, in percent of a core.
 *
 * @param {import('ioredis').Redis[]} nodes
 */
export async function nodesAtRest(nodes, ms) {
  const before = await Promise.all(nodes.map(cpuSeconds))
  await setTimeout(ms)
  const after = await Promise.all(nodes.map(cpuSeconds))
  const percents = after.map((seconds, at) => ((seconds - before[at]) * 1000 * 100) / ms)
  return { count: nodes.length, load: Math.max(...percents) }
}

/** Of all threads of a server so far. */
async function cpuSeconds(node) {
  const info = await node.info('cpu')
  const at = (name) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)[1])
  return at('used_cpu_sys') + at('used_cpu_user')
}
