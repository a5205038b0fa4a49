// The table of a matrix, and where it is on a page.

import fs from 'node:fs'

/**
 * What is tried on what. Rows are test files, columns are what they run on.
 *
 * @typedef {object} Matrix
 * @property {string} marker what stands around the table on the page
 * @property {Column[]} columns
 * @property {Row[]} rows
 * @property {Limitation[]} limitations
 *
 * @typedef {{ name: string, version: string, isThere?: boolean }} Column `isThere`: whether this machine can
 *   have it, by default true
 * @typedef {{ name: string, files: string[], isFor?: (column: any) => boolean }} Row `isFor`: whether it is
 *   tried there
 *
 * @typedef {object} Limitation what is known not to work. What fails elsewhere, and what passes here, are
 *   both news.
 * @property {string[]} columns
 * @property {string} [test] the full name of the test that fails
 * @property {string[]} [rows] in place of a test, the rows that are not tried
 * @property {string} why
 */

/**
 * The table, and why something does not work.
 *
 * @param {Matrix} matrix
 * @param {string[][]} cells for each row its name, then what becomes of it in each column
 */
export function markdown({ columns, limitations }, cells) {
  const head = ['', ...columns.map(({ name, version }) => `${name} (${version})`)]
  const all = [head, ...cells]
  // Columns as wide as their widest cell, as the formatter has it.
  const widths = head.map((_, at) => Math.max(3, ...all.map((row) => row[at].length)))
  const line = (row) => `| ${row.map((cell, at) => cell.padEnd(widths[at])).join(' | ')} |`
  const lines = all.map(line)
  lines.splice(1, 0, line(widths.map((width) => '-'.repeat(width))))
  const notes = limitationsOn(columns, limitations).map(({ why, on }) => `- ${on}: ${why}.`)
  return [lines.join('\n'), notes.join('\n')].filter(Boolean).join('\n\n')
}

/** The table for a terminal. @param {Matrix} matrix @param {string[][]} cells */
export function plain({ columns, limitations }, cells) {
  const all = [['', ...columns.map(({ name }) => name)], ...cells]
  const widths = all[0].map((_, at) => Math.max(...all.map((row) => row[at].length)))
  const line = (row) =>
    row
      .map((text, at) => text.padEnd(widths[at]))
      .join('  ')
      .trimEnd()
  const notes = limitationsOn(columns, limitations).map(({ why, on }) => `${on}: ${why}`)
  return `${all.map(line).join('\n')}\n\n${notes.join('\n')}`
}

/**
 * Whether the page has this table: every row, every column in its version, and the notes. What came of
 * each, only a run can tell.
 *
 * @param {string} page
 * @param {Matrix} matrix
 */
export function isOnPage(page, matrix) {
  const text = fs.readFileSync(page, 'utf8')
  const { marker } = matrix
  const table = text.split(`<!-- ${marker} -->`)[1]?.split(`<!-- /${marker} -->`)[0]?.trim() ?? ''
  const found = table.split('\n').map((line) => line.split('|').map((cell) => cell.trim()))
  const rows = matrix.rows.map(({ name }) => {
    const [, , ...cells] = found.find(([, row]) => row === name) ?? []
    return [name, ...matrix.columns.map((_, at) => cells[at] ?? '')]
  })
  const isKnown = (cell) => ['ok', 'no', 'not tried'].includes(cell)
  return table === markdown(matrix, rows) && rows.every(([, ...cells]) => cells.every(isKnown))
}

function limitationsOn(columns, limitations) {
  const names = columns.map(({ name }) => name)
  return limitations
    .map(({ why, columns: on }) => ({ why, on: names.filter((name) => on.includes(name)) }))
    .filter(({ on }) => on.length > 0)
    .map(({ why, on }) => ({ why, on: on.join(', ') }))
}
