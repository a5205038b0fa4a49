import { summarize } from './measure.mjs'

/** What is compared with the baseline. */
const COMPARED = ['opsPerSecond', 'settledPerSecond', 'p50']

export function resultsOf(running, counts) {
  const operations = new Set(running.map(({ operation }) => operation))
  return [...operations].flatMap((operation) =>
    counts.flatMap((inFlight) =>
      running
        .filter((contender) => contender.operation === operation)
        .map(({ name, rounds }) => ({
          name,
          operation,
          inFlight,
          ...summarizeAll(rounds.get(inFlight)),
        })),
    ),
  )
}

function summarizeAll(rounds) {
  const figures = Object.keys(rounds[0])
  return Object.fromEntries(
    figures.map((figure) => [figure, summarize(rounds.map((round) => round[figure]))]),
  )
}

/** Round by round, so that a machine that slows down in between does not count. */
export function ratiosOf(running, counts) {
  return running
    .filter(({ baseline }) => !baseline)
    .flatMap((contender) => {
      const { name, operation, goals = {} } = contender
      const base = running.find((other) => other.operation === operation && other.baseline)
      return counts.map((inFlight) => {
        const theirs = base.rounds.get(inFlight)
        const ours = contender.rounds.get(inFlight)
        const ratioOf = (figure) =>
          summarize(ours.map((round, index) => round[figure] / theirs[index][figure]))
        const compared = COMPARED.filter((figure) => figure in ours[0])
        const ratio = Object.fromEntries(compared.map((figure) => [figure, ratioOf(figure)]))
        const verdicts = (goals[inFlight] ?? []).map((goal) => ({ goal, met: isMet(goal, ratio) }))
        return { name, baseline: base.name, operation, inFlight, ratio, verdicts }
      })
    })
}

function isMet({ figure, atLeast = -Infinity, atMost = Infinity }, ratio) {
  const { median } = ratio[figure]
  return median >= atLeast && median <= atMost
}
