'use strict'

// Makes dashboard.json for Grafana from the list of metrics: node dashboard.cjs

const fs = require('node:fs')
const path = require('node:path')
const { METRICS, prometheusLabel, prometheusName } = require('./metrics.cjs')

/** @typedef {import('./metrics.cjs').Metric} Metric */

const FILE = path.join(__dirname, 'dashboard.json')

/** The rows, and how the names of their metrics begin. */
const ROWS = Object.freeze([
  { title: 'Calls', names: /^(db\.|synckairos\.calls)/ },
  { title: 'Manager', names: /^synckairos\.manager\./ },
  { title: 'Queue', names: /^synckairos\.queue\./ },
])

const DATASOURCE = Object.freeze({ type: 'prometheus', uid: '$datasource' })
const [COLUMNS, WIDTH, HEIGHT] = [3, 8, 8]
const UNITS = Object.freeze({ s: 's', By: 'bytes', '': 'short' })

/** What Grafana imports. */
function dashboard() {
  /** @type {object[]} */
  const panels = []
  let y = 0
  for (const { title, names } of ROWS) {
    const metrics = METRICS.filter(({ name }) => names.test(name))
    const id = panels.length + 1
    panels.push({
      id,
      type: 'row',
      title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: 24, h: 1 },
    })
    y += 1
    for (const [index, metric] of metrics.entries()) {
      const x = (index % COLUMNS) * WIDTH
      const top = y + Math.floor(index / COLUMNS) * HEIGHT
      panels.push(panel(metric, panels.length + 1, { x, y: top, w: WIDTH, h: HEIGHT }))
    }
    y += Math.ceil(metrics.length / COLUMNS) * HEIGHT
  }
  return {
    uid: 'synckairos-state',
    title: 'synckairos-state',
    tags: ['synckairos-state'],
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    templating: {
      list: [{ name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' }],
    },
    panels,
  }
}

/** @param {Metric} metric @param {number} id @param {object} gridPos */
function panel(metric, id, gridPos) {
  const perSecond = metric.type === 'counter' ? ' per second' : ''
  return {
    id,
    type: 'timeseries',
    title: prometheusName(metric),
    description: `${metric.help}${perSecond}`,
    datasource: DATASOURCE,
    gridPos,
    fieldConfig: { defaults: { unit: UNITS[metric.unit], min: 0 }, overrides: [] },
    options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi' } },
    targets: queries(metric).map(({ expr, legendFormat }, index) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + index),
      datasource: DATASOURCE,
      expr,
      legendFormat,
    })),
  }
}

/** @param {Metric} metric @returns {{ expr: string, legendFormat: string }[]} */
function queries(metric) {
  const name = prometheusName(metric)
  const labels = metric.labels.map(prometheusLabel)
  const legendFormat = labels.map((label) => `{{${label}}}`).join(' ') || name
  if (metric.type === 'histogram') {
    const buckets = `sum by (le, db_operation_name) (rate(${name}_bucket[$__rate_interval]))`
    return [0.5, 0.99].map((quantile) => ({
      expr: `histogram_quantile(${quantile}, ${buckets})`,
      legendFormat: `{{db_operation_name}} p${quantile * 100}`,
    }))
  }
  const series = metric.type === 'counter' ? `rate(${name}[$__rate_interval])` : name
  const by = labels.length > 0 ? ` by (${labels.join(', ')})` : ''
  const combined = `${metric.across}${by} (${series})`
  const isTime = metric.name.endsWith('_timestamp')
  return [{ expr: isTime ? `time() - ${combined}` : combined, legendFormat }]
}

/** The dashboard's file. */
function text() {
  return `${JSON.stringify(dashboard(), null, 2)}\n`
}

if (require.main === module) fs.writeFileSync(FILE, text())

module.exports = { FILE, text }
