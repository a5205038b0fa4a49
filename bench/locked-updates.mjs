import { createAll } from './document.mjs'

/**
 * An operation for any manager: the locked update of the loop's own session.
 *
 * @returns {Promise<(loop: number) => Promise<void>>}
 */
export async function lockedUpdates(manager, loops) {
  const states = []
  await createAll(loops, (state) => {
    states.push(state)
    return manager.createSession(state)
  })
  return async (loop) => {
    const state = states[loop]
    await manager.updateSession(state.session_id, state, state.version)
    state.version++
  }
}
