// What works on which runtime, as docs/runtimes.md has it.

import fs from 'node:fs'
import { CAPABILITIES, LIMITATIONS } from '../__test__/runtimes/capabilities.js'
import { RUNTIMES } from './runtime-packages.mjs'

const PAGE = new URL('../docs/runtimes.md', import.meta.url)
const BEGIN = '<!-- runtimes -->'
const END = '<!-- /runtimes -->'

/**
 * The table, and why something does not work.
 *
 * @param {{ name: string, version: string }[]} runtimes
 * @param {string[][]} rows a capability's name, then what becomes of it on each runtime
 */
export function markdown(runtimes, rows) {
  const head = ['', ...runtimes.map(({ name, version }) => `${name} (${version})`)]
  const all = [head, ...rows]
  // Columns as wide as their widest cell, as the formatter has it.
  const widths = head.map((_, at) => Math.max(3, ...all.map((row) => row[at].length)))
  const line = (cells) => `| ${cells.join(' | ')} |`
  const lines = all.map((row) => line(row.map((cell, at) => cell.padEnd(widths[at]))))
  lines.splice(1, 0, line(widths.map((width) => '-'.repeat(width))))
  const notes = limitationsOn(runtimes).map(
    ({ why, on }) => `- ${on.map(({ name }) => name).join(', ')}: ${why}.`,
  )
  return [lines.join('\n'), notes.join('\n')].filter(Boolean).join('\n\n')
}

/**
 * What is known not to work there.
 *
 * @param {{ name: string, version: string }[]} runtimes
 */
export function limitationsOn(runtimes) {
  return LIMITATIONS.map((limitation) => ({
    ...limitation,
    on: runtimes.filter(({ name }) => limitation.runtimes.includes(name)),
  })).filter(({ on }) => on.length > 0)
}

/**
 * Whether the page has this table: every capability, every runtime in its version, and the
 * notes. What came of each, only a run can tell.
 */
export function isOnPage() {
  const text = fs.readFileSync(PAGE, 'utf8')
  const table = text.split(BEGIN)[1]?.split(END)[0]?.trim() ?? ''
  const found = table.split('\n').map((line) => line.split('|').map((cell) => cell.trim()))
  const rows = CAPABILITIES.map(({ name }) => {
    const [, , ...cells] = found.find(([, row]) => row === name) ?? []
    return [name, ...RUNTIMES.map((_, at) => cells[at] ?? '')]
  })
  const isKnown = (cell) => ['ok', 'no', 'not tried'].includes(cell)
  return table === markdown(RUNTIMES, rows) && rows.every(([, ...cells]) => cells.every(isKnown))
}
