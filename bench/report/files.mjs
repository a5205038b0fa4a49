import fs from 'node:fs'
import { plot } from './plot.mjs'

/** What the last runs that were kept have measured: all figures that are shown anywhere are from here. */
export const RESULTS = new URL('../results/latest.json', import.meta.url)
export const MEMORY_RESULTS = new URL('../results/memory.json', import.meta.url)
export const CLUSTER_RESULTS = new URL('../results/cluster.json', import.meta.url)
export const PLOT = new URL('../results/latest.svg', import.meta.url)

export function saveResults(outcome) {
  fs.writeFileSync(RESULTS, textOf(outcome))
  fs.writeFileSync(PLOT, plot(outcome))
}

export function saveMemoryResults(outcome) {
  fs.writeFileSync(MEMORY_RESULTS, textOf(outcome))
}

export function saveClusterResults(outcome) {
  fs.writeFileSync(CLUSTER_RESULTS, textOf(outcome))
}

export const savedResults = () => JSON.parse(fs.readFileSync(RESULTS, 'utf8'))

export const savedMemoryResults = () => JSON.parse(fs.readFileSync(MEMORY_RESULTS, 'utf8'))

export const savedClusterResults = () => JSON.parse(fs.readFileSync(CLUSTER_RESULTS, 'utf8'))

/** As precise as anything is here, and a line for each figure, so that a change can be read. */
function textOf(outcome) {
  const rounded = (_key, value) =>
    typeof value === 'number' ? Number(value.toPrecision(5)) : value
  const text = JSON.stringify(outcome, rounded, 1)
  return `${text.replace(/\{\s+"median"[^}]+\}/g, (summary) => summary.replace(/\s+/g, ' '))}\n`
}
