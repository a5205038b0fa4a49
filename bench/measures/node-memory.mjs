/** Of `MEMORY USAGE`: all of a string, whatever it holds. */
const ALL = 0

/**
 * What a node holds, bytes: all of it with Lua's (`used`), the sessions and the ledgers in it, what its
 * connections and its scripts take.
 *
 * @param {import('ioredis').Redis} node
 */
export async function nodeMemory(node) {
  const info = await node.info('memory')
  const at = (name) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)[1])
  const sessions = await usage(node, 'session:*')
  const ledgers = await usage(node, 'synckairos:ledger:*')
  const [lua, connections] = [at('used_memory_vm_eval'), at('mem_clients_normal')]
  const scripts = lua + at('used_memory_scripts_eval')
  return { used: at('used_memory') + lua, sessions, ledgers, connections, scripts }
}

async function usage(node, pattern) {
  let bytes = 0
  for await (const keys of node.scanStream({ match: pattern, count: 1000 })) {
    const pipeline = node.pipeline()
    for (const key of keys) pipeline.memory('USAGE', key, 'SAMPLES', ALL)
    for (const [error, own] of await pipeline.exec()) {
      if (error) throw error
      bytes += own
    }
  }
  return bytes
}
