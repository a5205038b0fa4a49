'use strict'

// The list of all metrics. The exporters and the dashboard are made from it, and the alerts are checked against it.

/** @typedef {import('./reading.cjs').Reading} Reading */
/** @typedef {import('synckairos-state').CallDuration} CallDuration */
/** @typedef {{ labels: Record<string, string>, value: number }} Point */
/** @typedef {{ labels: Record<string, string>, value: CallDuration }} DurationPoint */
/**
 * @typedef {object} About
 * @property {string} name as OpenTelemetry writes it
 * @property {'s' | 'By' | ''} unit seconds, bytes, or a plain number
 * @property {'sum' | 'max' | 'min'} across how to combine the instances of a service; `max` where all tell of the
 *   same records in Redis
 * @property {string} help
 * @property {string[]} labels as OpenTelemetry writes them
 */
/** @typedef {About & { type: 'counter' | 'gauge', points: (reading: Reading) => Point[] }} NumberMetric */
/** @typedef {About & { type: 'histogram', points: (reading: Reading) => DurationPoint[] }} DurationMetric */
/** @typedef {NumberMetric | DurationMetric} Metric */

/** The upper bounds of the buckets of durations, in seconds. A last bucket has no bound. */
const BOUNDS = Object.freeze([0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10])

/** A worker that lives asks Redis for something every 2 s. */
const SILENT_MS = 10_000

const METHOD = 'db.operation.name'
const SQLSTATE = 'db.response.status_code'

/** @type {readonly Metric[]} */
const METRICS = Object.freeze([
  {
    name: 'db.client.operation.duration',
    type: 'histogram',
    unit: 's',
    across: 'sum',
    help: 'Time from the call of a method until its promise settles',
    labels: ['db.system.name', METHOD],
    points: (reading) =>
      callsIn(reading).flatMap(({ durations }) =>
        Object.entries(durations).map(([method, value]) => ({
          labels: { 'db.system.name': 'redis', [METHOD]: method },
          value,
        })),
      ),
  },
  {
    name: 'synckairos.calls',
    type: 'counter',
    unit: '',
    across: 'sum',
    help: 'Calls by method and outcome: ok, or the code of the error',
    labels: [METHOD, 'outcome'],
    points: (reading) =>
      callsIn(reading).flatMap(({ calls }) =>
        Object.entries(calls).flatMap(([method, outcomes]) =>
          labelled('outcome', outcomes).map(({ labels, value }) => ({
            labels: { [METHOD]: method, ...labels },
            value,
          })),
        ),
      ),
  },
  {
    name: 'synckairos.manager.ready',
    type: 'gauge',
    unit: '',
    across: 'min',
    help: '1 if the manager can do its work, else 0',
    labels: [],
    points: ({ managerHealth }) => single(managerHealth && Number(managerHealth.ready)),
  },
  {
    name: 'synckairos.manager.in_flight',
    type: 'gauge',
    unit: '',
    across: 'sum',
    help: 'Calls in flight',
    labels: [],
    points: ({ manager }) => single(manager?.inFlight),
  },
  {
    name: 'synckairos.manager.conflicts',
    type: 'counter',
    unit: '',
    across: 'sum',
    help: 'Updates that another writer was before',
    labels: [],
    points: ({ manager }) => single(manager?.conflicts),
  },
  {
    name: 'synckairos.manager.retries',
    type: 'counter',
    unit: '',
    across: 'sum',
    help: 'Further attempts of modifySession after a conflict',
    labels: [],
    points: ({ manager }) => single(manager?.retries),
  },
  {
    name: 'synckairos.manager.reconnects',
    type: 'counter',
    unit: '',
    across: 'sum',
    help: 'Lost connections that the manager has replaced',
    labels: [],
    points: ({ manager }) => single(manager?.reconnects),
  },
  {
    name: 'synckairos.manager.gaps',
    type: 'counter',
    unit: '',
    across: 'sum',
    help: 'Interruptions of the subscription',
    labels: [],
    points: ({ manager }) => single(manager?.gaps),
  },
  {
    name: 'synckairos.manager.cache.reads',
    type: 'counter',
    unit: '',
    across: 'sum',
    help: 'Reads that the cache has answered (hit) or not (miss)',
    labels: ['result'],
    points: ({ manager }) =>
      labelled('result', manager && { hit: manager.cacheHits, miss: manager.cacheMisses }),
  },
  {
    name: 'synckairos.manager.callbacks_behind',
    type: 'gauge',
    unit: '',
    across: 'max',
    help: 'Messages that wait for callbacks',
    labels: [],
    points: ({ manager }) => single(manager?.callbacksBehind),
  },
  {
    name: 'synckairos.manager.callbacks_behind_size',
    type: 'gauge',
    unit: 'By',
    across: 'max',
    help: 'Size of the messages that wait for callbacks',
    labels: [],
    points: ({ manager }) => single(manager?.callbacksBehindBytes),
  },
  {
    name: 'synckairos.queue.ready',
    type: 'gauge',
    unit: '',
    across: 'min',
    help: '1 if records reach the database, else 0',
    labels: [],
    points: ({ queueHealth }) => single(queueHealth && Number(queueHealth.ready)),
  },
  {
    name: 'synckairos.queue.records',
    type: 'gauge',
    unit: '',
    across: 'max',
    help: 'Records by state: waiting, active, delayed, dead',
    labels: ['state'],
    points: ({ queue }) =>
      labelled(
        'state',
        queue && {
          waiting: queue.waiting,
          active: queue.active,
          delayed: queue.delayed,
          dead: queue.dead,
        },
      ),
  },
  {
    name: 'synckairos.queue.oldest_age',
    type: 'gauge',
    unit: 's',
    across: 'max',
    help: 'How long the oldest record that is not stored has waited; 0 if none waits',
    labels: [],
    points: ({ queue }) => single(queue && (queue.oldestAgeMs ?? 0) / 1000),
  },
  {
    name: 'synckairos.queue.stored',
    type: 'counter',
    unit: '',
    across: 'max',
    help: 'Records that are stored in the database',
    labels: [],
    points: ({ queue }) => single(queue?.stored),
  },
  {
    name: 'synckairos.queue.last_stored_timestamp',
    type: 'gauge',
    unit: 's',
    across: 'max',
    help: 'When records were stored last, since 1970',
    labels: [],
    points: ({ queue }) => single(queue?.lastStoredAt && queue.lastStoredAt.getTime() / 1000),
  },
  {
    name: 'synckairos.queue.dead_letters',
    type: 'counter',
    unit: '',
    across: 'sum',
    help: 'Records that became dead letters in this process, by the SQLSTATE that the database gave',
    labels: [SQLSTATE],
    points: ({ deadLetters }) => labelled(SQLSTATE, Object.fromEntries(deadLetters)),
  },
  {
    name: 'synckairos.queue.workers',
    type: 'gauge',
    unit: '',
    across: 'max',
    help: 'Workers that live (alive), and those that hold records and were not heard of for 10 s (silent)',
    labels: ['state'],
    points: ({ queue }) => {
      if (!queue?.workers) return []
      const silent = queue.workers.filter(({ lastHeardMs }) => lastHeardMs > SILENT_MS)
      return labelled('state', {
        alive: queue.workers.length - silent.length,
        silent: silent.filter(({ claimed }) => claimed > 0).length,
      })
    },
  },
  {
    name: 'synckairos.queue.reconnects',
    type: 'counter',
    unit: '',
    across: 'sum',
    help: 'Lost connections that the queue and its worker have replaced',
    labels: [],
    points: ({ queue }) => single(queue?.reconnects),
  },
])

/** @param {Reading} reading */
function callsIn({ manager, queue }) {
  return [manager, queue].filter((metrics) => metrics !== undefined)
}

/** @param {number | null | undefined} value @returns {Point[]} */
function single(value) {
  return value == null ? [] : [{ labels: {}, value }]
}

/** @param {string} label @param {Record<string, number> | undefined} values @returns {Point[]} */
function labelled(label, values = {}) {
  return Object.entries(values).map(([name, value]) => ({ labels: { [label]: name }, value }))
}

const UNITS = { s: '_seconds', By: '_bytes', '': '' }

/** The name that Prometheus gives to a metric of OpenTelemetry. @param {Metric} metric */
function prometheusName({ name, type, unit }) {
  return prometheusLabel(name) + UNITS[unit] + (type === 'counter' ? '_total' : '')
}

/** @param {string} label */
function prometheusLabel(label) {
  return label.replaceAll('.', '_')
}

module.exports = { BOUNDS, METRICS, prometheusLabel, prometheusName }
