import { placeOf } from './contenders/index.mjs'
import { keyOf } from './matrix.mjs'
import { summarize } from './measures/statistics.mjs'

/** Figures by cell, contender and round. */
export class Measurements {
  #cells = new Map()

  /** @param {import('./matrix.mjs').Cell} cell @param {Record<string, number>} figures of a turn */
  add(cell, contender, figures) {
    const key = keyOf(cell)
    for (const [figure, value] of Object.entries(figures)) {
      if (!Number.isFinite(value)) throw new Error(`${contender} has no ${figure} in ${key}`)
    }
    if (!this.#cells.has(key)) this.#cells.set(key, { cell, turns: new Map() })
    const { turns } = this.#cells.get(key)
    if (!turns.has(contender)) turns.set(contender, [])
    turns.get(contender).push(figures)
  }

  /** The contenders of a cell. */
  contendersOf(cell) {
    return [...(this.#cells.get(keyOf(cell))?.turns.keys() ?? [])]
  }

  /** One figure, round by round; undefined where it was not measured. */
  series(cell, contender, figure) {
    const rounds = this.#cells.get(keyOf(cell))?.turns.get(contender)
    return rounds?.[0]?.[figure] === undefined ? undefined : rounds.map((one) => one[figure])
  }

  /** Each figure of each contender in each cell over the rounds. */
  results() {
    return [...this.#cells.values()].flatMap(({ cell, turns }) =>
      [...turns].sort(byPlace).map(([contender, rounds]) => {
        const { network, mode, operation, inFlight, participants } = cell
        const figures = Object.keys(rounds[0]).map((figure) => [
          figure,
          summarize(rounds.map((round) => round[figure])),
        ])
        const where = { network, mode, operation, inFlight, participants, contender }
        return { ...where, figures: Object.fromEntries(figures) }
      }),
    )
  }
}

/** They take turns in another order each round. */
const byPlace = ([one], [other]) => (placeOf(one) < placeOf(other) ? -1 : 1)
