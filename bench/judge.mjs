import { FLOORS, OURS, OURS_ALL } from './contenders/index.mjs'
import { BEST_PEER, RSS, UNITS } from './goals.mjs'
import { summarize } from './measures/statistics.mjs'
import { MODES } from './modes.mjs'

/**
 * Each goal on each network and in each mode that it names: the ratio within a round, its median
 * over the rounds, and whether that meets the goal.
 *
 * @param {import('./goals.mjs').Goal[]} goals
 * @param {import('./measurements.mjs').Measurements} measurements
 */
export function judge(goals, measurements) {
  return goals.flatMap((goal) =>
    placesOf(goal).map(({ threshold, ...place }) => {
      const cell = { participants: 2, ...goal.cell, ...place }
      const { ratios, to } = ratiosOf(goal, cell, measurements)
      return verdict({ what: goal.what, ...place, to, ...threshold }, ratios)
    }),
  )
}

/** @param {{ rss: number }[] | undefined} soak after a few calls, and so on */
export const judgeSoak = (soak) => verdict(RSS, soak && [soak.at(-1).rss / soak[0].rss])

function placesOf({ atMost, atLeast }) {
  return Object.entries(atMost ?? atLeast).flatMap(([network, value]) =>
    MODES.map((mode) => ({ network, mode, limit: value[mode] ?? value }))
      .filter(({ limit }) => typeof limit === 'number')
      .map(({ limit, ...place }) => ({
        ...place,
        threshold: atMost ? { atMost: limit } : { atLeast: limit },
      })),
  )
}

function ratiosOf({ figure, whose = OURS, peer, atMost }, cell, measurements) {
  const ours = measurements.series(cell, whose, figure)
  if (UNITS.includes(peer)) return { ratios: ours, to: peer }
  const name = peer === BEST_PEER ? bestOf(cell, figure, atMost, measurements) : peer
  const theirs = name && measurements.series(cell, name, figure)
  const to = name && peer === BEST_PEER ? `${peer} (${name})` : peer
  return { ratios: ours && theirs && ours.map((value, round) => value / theirs[round]), to }
}

/**
 * The peer with the best median. The best of each round would be nobody: of several that are
 * equally good, one is always lucky.
 */
function bestOf(cell, figure, lessIsBetter, measurements) {
  const medianOf = (name) => summarize(measurements.series(cell, name, figure)).median
  const sign = lessIsBetter ? 1 : -1
  return measurements
    .contendersOf(cell)
    .filter((name) => ![...OURS_ALL, ...FLOORS].includes(name))
    .sort((one, other) => sign * (medianOf(one) - medianOf(other)))[0]
}

function verdict(goal, ratios) {
  if (!ratios) return { ...goal, ratio: null, met: null }
  const ratio = summarize(ratios)
  const met = goal.atMost === undefined ? ratio.median >= goal.atLeast : ratio.median <= goal.atMost
  return { ...goal, ratio, met }
}
