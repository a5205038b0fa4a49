'use strict'

const { Registry } = require('prom-client')
const { BOUNDS, METRICS, prometheusLabel, prometheusName } = require('./metrics.cjs')
const { read } = require('./reading.cjs')

/** @typedef {import('./metrics.cjs').Metric} Metric */
/** @typedef {import('./reading.cjs').Reading} Reading */

/**
 * Adds the metrics of a manager, a queue or both to a registry of prom-client. Each scrape reads them once.
 *
 * @param {import('./reading.cjs').Sources} sources
 * @param {Registry} [registry]
 */
function prometheusRegistry(sources, registry = new Registry()) {
  /** What the metrics of one scrape share. @type {Promise<Reading> | undefined} */
  let reading
  const shared = () => {
    reading ??= read(sources).finally(() => {
      reading = undefined
    })
    return reading
  }
  for (const metric of METRICS)
    registry.registerMetric(/** @type {any} */ (collector(metric, shared)))
  return registry
}

/**
 * A metric as a registry wants it. The classes of prom-client count; these numbers are counted already.
 *
 * @param {Metric} metric
 * @param {() => Promise<Reading>} reading
 */
function collector(metric, reading) {
  const { type, help, across } = metric
  return {
    name: prometheusName(metric),
    type,
    help,
    async get() {
      const values = valuesOf(metric, await reading())
      return { name: this.name, type, help, aggregator: across, values }
    },
    reset() {},
  }
}

/** @param {Metric} metric @param {Reading} reading */
function valuesOf(metric, reading) {
  if (metric.type !== 'histogram') {
    return metric.points(reading).map(({ labels, value }) => ({ labels: renamed(labels), value }))
  }
  const name = prometheusName(metric)
  return metric.points(reading).flatMap(({ labels: original, value: { buckets, sum, count } }) => {
    const labels = renamed(original)
    let upTo = 0
    const cumulative = buckets.map((inBucket, index) => {
      upTo += inBucket
      return {
        metricName: `${name}_bucket`,
        labels: { ...labels, le: String(BOUNDS[index] ?? '+Inf') },
        value: upTo,
      }
    })
    return [
      ...cumulative,
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: count },
    ]
  })
}

/** @param {Record<string, string>} labels */
function renamed(labels) {
  const entries = Object.entries(labels).map(([name, value]) => [prometheusLabel(name), value])
  return Object.fromEntries(entries)
}

module.exports = { prometheusRegistry }
