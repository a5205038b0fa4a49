import { FLOORS, OURS, OURS_CACHED } from './contenders/index.mjs'
import { BEST_PEER, GOALS, MICROSECOND, RSS } from './goals.mjs'
import { summarize } from './measures/statistics.mjs'
import { MODES } from './modes.mjs'

/**
 * Each goal on each network and in each mode that it names: the ratio within a round, its median
 * over the rounds, and whether that meets the goal.
 *
 * @param {import('./measurements.mjs').Measurements} measurements
 * @param {{ rss: number }[] | undefined} soak after a few calls, and so on
 */
export function judge(measurements, soak) {
  const judged = GOALS.flatMap((goal) =>
    placesOf(goal).map(({ threshold, ...place }) => {
      const cell = { participants: 2, ...goal.cell, ...place }
      const { ratios, to } = ratiosOf(goal, cell, measurements)
      return verdict({ what: goal.what, ...place, to, ...threshold }, ratios)
    }),
  )
  return [...judged, verdict(RSS, soak && [soak.at(-1).rss / soak[0].rss])]
}

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
  if (peer === MICROSECOND) return { ratios: ours, to: peer }
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
    .filter((name) => ![OURS, OURS_CACHED, ...FLOORS].includes(name))
    .sort((one, other) => sign * (medianOf(one) - medianOf(other)))[0]
}

function verdict(goal, ratios) {
  if (!ratios) return { ...goal, ratio: null, met: null }
  const ratio = summarize(ratios)
  const met = goal.atMost === undefined ? ratio.median >= goal.atLeast : ratio.median <= goal.atMost
  return { ...goal, ratio, met }
}
