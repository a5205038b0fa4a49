/**
 * The shortest cycle through each file that is part of one; each cycle once.
 *
 * @param {Map<string, Set<string>>} imports for each file the files that it imports
 * @returns {string[][]} each begins and ends with the same file
 */
export function cycles(imports) {
  const found = new Map()
  for (const file of imports.keys()) {
    const cycle = shortestCycle(imports, file)
    const members = cycle?.toSorted().join()
    if (cycle && !found.has(members)) found.set(members, cycle)
  }
  return [...found.values()].map((cycle) => [...cycle, cycle[0]])
}

/** Breadth first, from `start` back to `start`. */
function shortestCycle(imports, start) {
  const importer = new Map()
  const queue = [start]
  for (const file of queue) {
    for (const target of imports.get(file) ?? []) {
      if (target === start) {
        const cycle = [file]
        while (cycle[0] !== start) cycle.unshift(importer.get(cycle[0]))
        return cycle
      }
      if (!importer.has(target)) {
        importer.set(target, file)
        queue.push(target)
      }
    }
  }
  return undefined
}
