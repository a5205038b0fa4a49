/** In place of what is left out. */
export const GAP = '…'

const NUMBER = /^([\d.]+( (ms|µs))?|…)?$/

/** Rows in aligned columns: numbers to the right, everything else to the left. */
export function table(head, rows) {
  const cells = rows.map((row) => row.map(textOf))
  const columns = head.map((name, at) => {
    const column = cells.map((row) => row[at])
    const width = Math.max(...[name, ...column].map(({ length }) => length))
    return { width, isNumber: column.every((cell) => NUMBER.test(cell)) }
  })
  const lines = [head, ...cells].map((row) =>
    row
      .map((cell, at) => {
        const { width, isNumber } = columns[at]
        return isNumber ? cell.padStart(width) : cell.padEnd(width)
      })
      .join('   ')
      .trimEnd(),
  )
  lines.splice(1, 0, columns.map(({ width }) => '-'.repeat(width)).join('   '))
  return lines.map((text) => `  ${text}`).join('\n')
}

/** Of nothing: no text. */
const textOf = (value) => (value instanceof Date ? value.toISOString() : String(value ?? ''))

/** The value that a share of the values does not exceed. */
export function quantile(values, share) {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
}

export const duration = (ms) =>
  ms < 1 ? `${Math.round(ms * 1000)} µs` : `${ms.toFixed(ms < 10 ? 2 : 0)} ms`
