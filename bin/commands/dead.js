'use strict'

const { deadLetters } = require('../facts/deadLetters.js')
const { CommandError, ExitCode, UsageError } = require('../outcome.js')
const { count } = require('../settings.js')
const { counted } = require('../terminal/paper.js')

const LISTED = 50
/** How many letters one request queues again or removes. */
const AT_ONCE = 500

/** @type {Record<string, (context: import('../command.js').Context, ids: string[]) => Promise<import('../command.js').Result>>} */
const ACTIONS = { list, show, retry, remove }

/** @type {import('../command.js').Command} */
module.exports = {
  name: 'dead',
  arguments: ['list|show|retry|remove', '[<id>…]'],
  summary: 'lists dead letters, queues them again, or removes them',
  help: `
    A dead letter is a record that the database has refused. Mend the cause first. Then queue one letter again,
    see whether it comes back, and then the others:

      list     the newest letters, with the reason
      show     one letter, with its state
      retry    queues letters again: those with these ids, or all of --by, or all
      remove   deletes letters: those with these ids, or all of --by. Their changes never reach the database`,
  options: {
    by: {
      type: 'string',
      value: '<sqlstate>',
      help: 'only letters with this SQLSTATE, such as 22001',
    },
    limit: {
      type: 'string',
      value: '<n>',
      help: 'only the newest n letters. Default of "list": 50',
    },
  },
  examples: [
    'dead list --by 22001',
    'dead show 0190a0b1-c2d3-7e4f-8a5b-6c7d8e9fa0b1',
    'dead retry --by 22001 --limit 1 --yes',
    'dead retry --by 22001 --yes',
  ],

  run(context) {
    const [name = '', ...ids] = context.args
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined
    if (!action) throw new UsageError(`dead: "${name}" is none of list, show, retry, remove`)
    return action(context, ids)
  },
}

/** @param {import('../command.js').Context} context @param {string[]} ids */
async function list({ servers, paper, values }, ids) {
  if (ids.length > 0) throw new UsageError('dead list takes no id: "dead show" does')
  const most = count(values.limit, '--limit', { otherwise: LISTED })
  const letters = []
  for await (const letter of deadLetters(servers.queue, { most, sqlstate: values.by })) {
    letters.push(withoutState(letter))
  }
  const columns = ['id', 'session', 'event', 'sqlstate', 'tries', 'failed at', 'reason']
  const rows = letters.map((letter) => [
    letter.id,
    letter.sessionId,
    letter.eventType,
    letter.sqlstate,
    letter.attempts,
    letter.failedAt,
    letter.error,
  ])
  const lines = letters.length > 0 ? paper.table(columns, rows) : ['no dead letters']
  return { json: letters, lines, code: letters.length > 0 ? ExitCode.FOUND : ExitCode.FINE }
}

/** @param {import('../command.js').Context} context @param {string[]} ids */
async function show({ servers, paper }, [id, ...more]) {
  if (id === undefined || more.length > 0)
    throw new UsageError('dead show takes the id of one letter')
  for await (const letter of deadLetters(servers.queue)) {
    if (letter.id !== id) continue
    const { state, rawState, ...told } = { ...letter, error: letter.error.message }
    const content =
      state === null
        ? (rawState ?? 'no state: the record of a deletion')
        : JSON.stringify(state, null, 2)
    return {
      json: { ...told, state, rawState },
      lines: [...paper.pairs(Object.entries(told)), '', content],
    }
  }
  throw new CommandError(`no dead letter has the id ${id}`)
}

/** @param {import('../command.js').Context} context @param {string[]} ids */
async function retry(context, ids) {
  const { by, limit } = context.values
  if (ids.length === 0 && by === undefined && limit === undefined) return retryAll(context)
  const chosen = await choose(context, ids)
  return change(context, chosen, 'queue again', 'queued again', (some) =>
    context.servers.queue.retryFailed(some),
  )
}

/** Without looking at each. @param {import('../command.js').Context} context */
async function retryAll({ servers: { queue }, settings }) {
  const { failed } = await queue.getMetrics()
  if (failed > 0 && !settings.yes) return wouldChange('queue again', failed)
  const queued = failed > 0 ? await queue.retryFailed() : 0
  return {
    json: { queued, chosen: failed },
    lines: [`queued again: ${counted(queued, 'dead letter')}`],
  }
}

/** @param {import('../command.js').Context} context @param {string[]} ids */
async function remove(context, ids) {
  const { by } = context.values
  if (ids.length === 0 && by === undefined)
    throw new UsageError('dead remove: pass ids, or --by <sqlstate>')
  const chosen = await choose(context, ids)
  return change(context, chosen, 'remove', 'removed', (some) =>
    context.servers.queue.removeFailed(some),
  )
}

/** The ids of the letters that the options mean. @param {import('../command.js').Context} context @param {string[]} ids */
async function choose({ servers, values }, ids) {
  if (ids.length > 0) {
    if (values.by !== undefined || values.limit !== undefined) {
      throw new UsageError('dead: ids, or --by and --limit, not both')
    }
    return ids
  }
  const most = count(values.limit, '--limit', { otherwise: Number.POSITIVE_INFINITY })
  const chosen = []
  for await (const { id } of deadLetters(servers.queue, { most, sqlstate: values.by }))
    chosen.push(id)
  return chosen
}

/**
 * @param {import('../command.js').Context} context
 * @param {string[]} ids
 * @param {string} verb
 * @param {string} done
 * @param {(ids: string[]) => Promise<number>} apply
 */
async function change({ settings, progress, checkpoint }, ids, verb, done, apply) {
  if (ids.length > 0 && !settings.yes) return wouldChange(verb, ids.length)
  let changed = 0
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    checkpoint()
    changed += await apply(ids.slice(at, at + AT_ONCE))
    progress.show((at + AT_ONCE) / ids.length, `${changed} of ${ids.length} ${done}`)
  }
  progress.end()
  return {
    json: { [verb === 'remove' ? 'removed' : 'queued']: changed, chosen: ids.length },
    lines: [`${done}: ${changed} of ${counted(ids.length, 'dead letter')}`],
    code: changed === ids.length ? ExitCode.FINE : ExitCode.FAILED,
  }
}

/** @param {string} verb @param {number} letters */
function wouldChange(verb, letters) {
  return {
    json: { would: verb, letters },
    lines: [`would ${verb} ${counted(letters, 'dead letter')}; pass --yes to do it`],
    code: ExitCode.WOULD_CHANGE,
  }
}

/** @param {import('../../index.js').DeadLetter<any>} letter */
function withoutState({ state: _state, rawState: _rawState, error, ...letter }) {
  return { ...letter, error: error.message }
}
