import fs from 'node:fs'
import { plot } from './plot.mjs'

/** What the last run that was kept has measured: all figures that are shown anywhere are from here. */
export const RESULTS = new URL('../results/latest.json', import.meta.url)
export const PLOT = new URL('../results/latest.svg', import.meta.url)

export function saveResults(outcome) {
  fs.writeFileSync(RESULTS, `${JSON.stringify(outcome, null, 1)}\n`)
  fs.writeFileSync(PLOT, plot(outcome))
}

export function savedResults() {
  return JSON.parse(fs.readFileSync(RESULTS, 'utf8'))
}
