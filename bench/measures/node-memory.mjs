/** Of `MEMORY USAGE`: all of a string, whatever it holds. */
const ALL = 0

/**
 * What a node holds, bytes: all of it with Lua's (`used`), the sessions and the ledgers in it, one session,
 * what its connections and its scripts take.
 *
 * @param {import('ioredis').Redis} node
 */
export async function nodeMemory(node) {
  const info = await node.info('memory')
  const at = (name) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)[1])
  const { bytes: sessions, keys } = await usage(node, 'session:*')
  const { bytes: ledgers } = await usage(node, 'synckairos:ledger:*')
  const [lua, connections] = [at('used_memory_vm_eval'), at('mem_clients_normal')]
  const scripts = lua + at('used_memory_scripts_eval')
  const used = at('used_memory') + lua
  return { used, sessions, session: sessions / keys, ledgers, connections, scripts }
}

async function usage(node, pattern) {
  let [bytes, keys] = [0, 0]
  for await (const some of node.scanStream({ match: pattern, count: 1000 })) {
    const pipeline = node.pipeline()
    keys += some.length
    for (const key of some) pipeline.memory('USAGE', key, 'SAMPLES', ALL)
    for (const [error, own] of await pipeline.exec()) {
      if (error) throw error
      bytes += own
    }
  }
  return { bytes, keys }
}
