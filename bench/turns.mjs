/** In another order each round, so that nobody always comes after the same neighbour. */
export function inTurns(all, round) {
  const left = [...all]
  // Each next one is picked from those left by a step that changes. It is not random, so that a run
  // can be repeated.
  let at = round
  return all.map((_, turn) => {
    at = (at + round * 7 + turn * 3) % left.length
    return left.splice(at, 1)[0]
  })
}
