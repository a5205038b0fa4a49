import { FLOORS, OURS, REFERENCE } from '../contenders/index.mjs'
import { plotted } from './highlights.mjs'
import { figureWords, isWide } from './words.mjs'

const COLUMNS = 2
const PANEL = { width: 430, gap: 32, head: 46, foot: 22 }
const ROW = { height: 22, bar: 13 }
const LABEL = 150
const VALUE = 96
const BAR = PANEL.width - LABEL - VALUE
const MARGIN = 20
/** A range that is longer than this many times the longest bar is cut off. */
const LONGEST_RANGE = 1.3

const KEY = [
  'Bars: the median of the rounds, from zero, with a thin line from the smallest round to the largest (› goes on). A bar',
  'that begins later is that range alone: its rounds differ by more than a factor of two. Dashed: how fast it could be',
  'done at all; no service would do it so. Free: the operating system places all processes. Pinned: a contender has one',
  'core, the servers have another. Clients update by the module’s own script, unless it is called bare.',
]

const STYLE = `
  text { font: 12px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #57606a }
  .title { font-size: 14px; font-weight: 600; fill: #1f2328 }
  .ours text, .value { fill: #1f2328 }
  .ours text { font-weight: 600 }
  .bar { fill: #afb8c1 }
  .reference .bar { fill: #d4a72c }
  .ours .bar { fill: #0969da }
  .floor .bar { fill: none; stroke: #8c959f; stroke-dasharray: 3 2 }
  .range { stroke: #1f2328; stroke-width: 1.2; opacity: .55 }
  .axis { stroke: #d0d7de }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 }
    .title, .ours text, .value { fill: #f0f6fc }
    .bar { fill: #59636e }
    .reference .bar { fill: #bb8009 }
    .ours .bar { fill: #4493f8 }
    .floor .bar { stroke: #9198a1 }
    .range { stroke: #f0f6fc }
    .axis { stroke: #3d444d }
  }`

/** The highlights of an outcome as an SVG, readable on light and on dark. */
export function plot(outcome) {
  // The two modes of a highlight are next to each other.
  const panels = plotted(outcome)
  const rows = Array.from({ length: Math.ceil(panels.length / COLUMNS) }, (_, row) =>
    panels.slice(row * COLUMNS, (row + 1) * COLUMNS),
  )
  let y = MARGIN
  const drawn = rows.flatMap((row) => {
    const top = y
    y += Math.max(...row.map(heightOf))
    return row.map((panel, column) => {
      const x = MARGIN + column * (PANEL.width + PANEL.gap)
      return `<g transform="translate(${x} ${top})">\n${panelOf(panel, scaleOf(panel, panels))}\n</g>`
    })
  })
  const width = 2 * MARGIN + COLUMNS * PANEL.width + (COLUMNS - 1) * PANEL.gap
  const key = KEY.map((line, at) => `<text x="${MARGIN}" y="${y + 4 + at * 17}">${line}</text>`)
  const height = y + KEY.length * 17 + MARGIN / 2
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Measured side by side">
<style>${STYLE}
</style>
${drawn.join('\n')}
${key.join('\n')}
</svg>
`
}

const heightOf = ({ values }) => PANEL.head + values.length * ROW.height + PANEL.foot

/** The same for both modes of a highlight, so that their bars can be compared. */
function scaleOf({ title, figure }, panels) {
  const values = panels
    .filter((panel) => panel.title === title && panel.figure === figure)
    .flatMap((panel) => panel.values)
  const longest = Math.max(...values.map(({ median }) => median))
  return BAR / Math.min(Math.max(...values.map(({ max }) => max)), longest * LONGEST_RANGE)
}

function panelOf({ title, mode, figure, values }, scale) {
  const better = figure.more ? 'more is better' : 'less is better'
  return [
    `<text class="title" y="12">${xml(title)}</text>`,
    `<text y="30">${mode}; ${xml(figure.words)}, ${better}</text>`,
    ...values.map((value, at) => barOf(value, PANEL.head + at * ROW.height, scale, figure)),
    `<line class="axis" x1="${LABEL}" x2="${LABEL}" y1="${PANEL.head - 4}" y2="${PANEL.head + values.length * ROW.height - 2}"/>`,
  ].join('\n')
}

function barOf({ contender, ...summary }, y, scale, { write }) {
  const { median, min, max } = summary
  const middle = y + ROW.bar / 2
  const at = (value) => LABEL + Math.min(value * scale, BAR)
  const [from, to] = isWide(summary) ? [at(min), at(max)] : [LABEL, at(median)]
  const label = `<text x="${LABEL - 8}" y="${middle + 4}" text-anchor="end">${xml(contender)}</text>`
  const bar = `<rect class="bar" x="${from.toFixed(1)}" y="${y}" width="${(to - from).toFixed(1)}" height="${ROW.bar}"/>`
  const range = `<line class="range" x1="${at(min).toFixed(1)}" x2="${at(max).toFixed(1)}" y1="${middle}" y2="${middle}"/>`
  const more =
    max * scale > BAR + 1 ? `<text x="${LABEL + BAR + 2}" y="${middle + 4}">›</text>` : ''
  const value = `<text class="value" x="${PANEL.width}" y="${middle + 4}" text-anchor="end">${figureWords(summary, write)}</text>`
  return `<g class="${kindOf(contender)}">${label}${bar}${isWide(summary) ? '' : range}${more}${value}</g>`
}

function kindOf(contender) {
  if (contender === OURS) return 'ours'
  if (contender === REFERENCE) return 'reference'
  return FLOORS.includes(contender) ? 'floor' : 'peer'
}

const xml = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
