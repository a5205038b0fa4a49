import { captured, Updates } from '../workload/captured-update.mjs'
import { makeSessions, reviveDates } from '../workload/session.mjs'

const MANY = 50

/**
 * The operations of a service that is written on a plain Redis client, as cheap as they can be:
 * dates are revived only where a session always has them, and an update is the module's own script.
 *
 * @param {object} client
 * @param {(key: string) => Promise<string>} client.get
 * @param {(keys: string[]) => Promise<string[]>} client.getMany
 * @param {(words: string[]) => Promise<unknown>} client.send any command
 * @param {import('./index.mjs').Setting} setting
 * @param {object} [options]
 * @param {boolean} [options.dates] false: dates stay strings
 * @param {(state: object) => object} [options.updatesOf] makes the commands that update a session,
 *   in place of the module's own
 */
export function operationsOf(
  { get, getMany, send },
  { update, auditedUpdate },
  { dates = true, updatesOf = (state) => new Updates(captured(update, state), state) } = {},
) {
  const parse = dates ? (text) => reviveDates(JSON.parse(text)) : JSON.parse
  const keyOf = (state) => new Updates(captured(update, state), state).key
  const store = async (states) => {
    const set = (state) => send(['SET', keyOf(state), JSON.stringify(state)])
    await Promise.all(states.map(set))
    return states.map(keyOf)
  }
  const updating =
    (commandsOf) =>
    async ({ loops, participants }) => {
      const states = makeSessions(loops, participants)
      await store(states)
      const updates = states.map(commandsOf)
      return {
        run: async (loop) => {
          const answer = await send(updates[loop].next())
          // A script that refuses says why in an array.
          if (answer === null || Array.isArray(answer)) {
            throw new Error(`the update was refused: ${answer}`)
          }
          updates[loop].done()
        },
      }
    }
  return {
    async get({ loops, participants }) {
      const keys = await store(makeSessions(loops, participants))
      return { run: async (loop) => parse(await get(keys[loop])) }
    },
    async getSessions({ participants }) {
      const keys = await store(makeSessions(MANY, participants))
      return { run: async () => (await getMany(keys)).map(parse) }
    },
    update: updating(updatesOf),
    'update, audited': updating((state) => new Updates(auditedUpdate, state)),
  }
}
