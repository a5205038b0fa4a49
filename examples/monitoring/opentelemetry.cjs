'use strict'

const { ValueType } = require('@opentelemetry/api')
const { AggregationTemporality, DataPointType } = require('@opentelemetry/sdk-metrics')
const { BOUNDS, METRICS } = require('./metrics.cjs')
const { read } = require('./reading.cjs')

/** @typedef {import('@opentelemetry/sdk-metrics').MetricProducer} MetricProducer */
/** @typedef {import('./metrics.cjs').Metric} Metric */
/** @typedef {import('./reading.cjs').Reading} Reading */

const KINDS = {
  counter: { dataPointType: DataPointType.SUM, isMonotonic: true },
  gauge: { dataPointType: DataPointType.GAUGE },
  histogram: { dataPointType: DataPointType.HISTOGRAM },
}

/**
 * A source of metrics for a reader of OpenTelemetry's SDK (`metricProducers`), of a manager, a queue or both. No
 * instrument of the API takes a histogram that is counted already; a producer does.
 *
 * @param {import('./reading.cjs').Sources} sources
 * @returns {MetricProducer}
 */
function metricProducer(sources) {
  const startTime = hrTime()
  return {
    async collect() {
      const reading = await read(sources)
      const endTime = hrTime()
      const metrics = METRICS.map((metric) => ({
        descriptor: {
          name: metric.name,
          description: metric.help,
          unit: metric.unit,
          valueType: ValueType.DOUBLE,
        },
        aggregationTemporality: AggregationTemporality.CUMULATIVE,
        ...KINDS[metric.type],
        dataPoints: valuesOf(metric, reading).map((point) => ({ startTime, endTime, ...point })),
      }))
      const scopeMetrics = [
        { scope: { name: 'synckairos-state' }, metrics: metrics.filter(hasPoints) },
      ]
      // The reader has the service's resource, and puts it in the place of this one.
      return /** @type {any} */ ({ resourceMetrics: { scopeMetrics }, errors: [] })
    },
  }
}

/** @param {Metric} metric @param {Reading} reading */
function valuesOf(metric, reading) {
  if (metric.type !== 'histogram') {
    return metric.points(reading).map(({ labels: attributes, value }) => ({
      attributes,
      value: /** @type {unknown} */ (value),
    }))
  }
  return metric.points(reading).map(({ labels: attributes, value: { buckets, sum, count } }) => ({
    attributes,
    value: { buckets: { boundaries: [...BOUNDS], counts: buckets }, sum, count },
  }))
}

/** @param {{ dataPoints: unknown[] }} metric */
function hasPoints({ dataPoints }) {
  return dataPoints.length > 0
}

/** The time as OpenTelemetry writes it: seconds and nanoseconds. @returns {[number, number]} */
function hrTime() {
  const now = Date.now()
  return [Math.floor(now / 1000), (now % 1000) * 1e6]
}

module.exports = { metricProducer }
