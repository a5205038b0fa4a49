import { RACES } from './game.mjs'
import { bad, good, title } from './lines.mjs'
import { duration, quantile, table } from './table.mjs'

/**
 * Prints how long the calls took and what must hold at the end; true if all of it does.
 *
 * @param {object[]} results of both instances
 * @param {(number | null)[]} stored the version of each event in the database
 * @param {string} database what it is called
 */
export function check([a, b], stored, database) {
  title('How long it took, in both instances together')
  console.log(timesOf([a, b]))

  title('What must hold')
  const { final } = a
  const updates = a.updates + b.updates
  const presses = a.presses + b.presses
  const conflicts = a.conflicts + b.conflicts
  const acknowledged = a.acknowledged + b.acknowledged
  const facts = [
    [
      final.version === 1 + updates,
      `no update was lost: version ${final.version} = 1 (created) + ${updates} acknowledged updates`,
    ],
    [
      final.presses === presses,
      `no content was lost: the session counts ${final.presses} presses, A made ${a.presses}, B ${b.presses}`,
    ],
    [
      final.gifts === 2 * RACES && conflicts >= RACES,
      `of ${RACES} staged races each had one winner and one ConcurrencyError (all in all ${conflicts} conflicts)`,
    ],
    [
      [a, b].every(({ heard }) => isOneToN(heard, final.version)),
      `both heard every version from 1 to ${final.version}, in order`,
    ],
    [a.chat.length === 1 && b.chat.length === 1, "each heard the other's broadcast"],
    [
      a.deletionHeard && b.deletionHeard && a.gone && b.gone,
      'the session is gone, and both heard so',
    ],
    [
      stored.length === acknowledged,
      `${acknowledged} changes were acknowledged (A: ${a.acknowledged}, B: ${b.acknowledged}), and ${database} has ${stored.length} events`,
    ],
    [
      isOneToN(stored.slice(0, -1), final.version) && stored.at(-1) === null,
      `each version is there once, and the deletion (A's worker carried ${a.carried} records, B's ${b.carried})`,
    ],
  ]
  for (const [holds, fact] of facts)
    console.log(`  ${holds ? good('ok    ') : bad('FAILED')}  ${fact}`)
  return facts.every(([holds]) => holds)
}

const METHODS = [
  'createSession',
  'getSession',
  'updateSession',
  'broadcastToSession',
  'deleteSession',
  'update → heard by the other',
]

function timesOf(results) {
  const rows = METHODS.map((method) => {
    const times = results.flatMap((result) => result.times[method] ?? [])
    const conflicts = method === 'updateSession' ? results[0].conflicts + results[1].conflicts : ''
    return [
      method,
      times.length,
      duration(quantile(times, 0.5)),
      duration(quantile(times, 0.99)),
      conflicts,
    ]
  })
  return table(['method', 'calls', 'p50', 'p99', 'conflicts'], rows)
}

const isOneToN = (versions, n) =>
  versions.length === n && versions.every((version, index) => version === index + 1)
