// How figures are written, wherever they are shown.

import { FREE, PINNED } from '../modes.mjs'
import { PLAIN } from '../networks.mjs'

const NUMBER = /^[\d.]+/

export const factor = (value) =>
  value < 0.1 ? value.toPrecision(2) : value.toFixed(value < 100 ? 2 : 0)

export const whole = (value) => value.toFixed(0)

export const thousands = (value) =>
  value < 1000 ? value.toFixed(0) : `${(value / 1000).toFixed(value < 9950 ? 1 : 0)} k`

export const perSecond = (value) => `${thousands(value)}/s`

export const megabytes = (value) => `${value.toFixed(0)} MB`

export const tenthsOfMegabytes = (value) => `${value.toFixed(1)} MB`

export const percent = (value) => `${value.toFixed(2)} %`

/** Of microseconds. */
export function time(micros) {
  const ms = micros / 1000
  if (micros < 10) return `${micros.toFixed(1)} µs`
  return micros < 1000 ? `${micros.toFixed(0)} µs` : `${ms.toFixed(ms < 9.95 ? 1 : 0)} ms`
}

/** Whether the rounds differ so much that their median alone would mislead. */
export const isWide = ({ min, max }) => max > 2 * min

/** From the smallest to the largest, with the unit once where both have the same. */
export function range({ min, max }, write = whole) {
  const [from, to] = [write(min), write(max)]
  const unit = to.replace(NUMBER, '')
  return `${from.replace(NUMBER, '') === unit ? NUMBER.exec(from)[0] : from}-${to}`
}

/** A figure as one number, or as a range where its rounds are too far apart for one. */
export const figureWords = (summary, write = whole) =>
  isWide(summary) ? range(summary, write) : write(summary.median)

/** A figure with its range, or only that where the rounds are too far apart. */
export const spread = (summary, write = whole) =>
  isWide(summary) ? range(summary, write) : `${write(summary.median)} [${range(summary, write)}]`

/** A ratio with its range always: the verdict is about the median. */
export const ratioWords = (summary) => `${factor(summary.median)} [${range(summary, factor)}]`

/** Where a cell is measured, where that is not the first thing to think of. */
export const placeWords = ({ network, mode }) =>
  [network !== PLAIN && network, mode !== FREE && mode].filter(Boolean).join(', ')

export const goalWords = ({ atMost, atLeast }) =>
  atMost === undefined ? `at least ${atLeast}` : `at most ${atMost}`

export const verdictWord = ({ met }) => (met === null ? 'not measured' : met ? 'met' : 'MISSED')

/** Where, when and with what. */
export function headWords({
  date,
  commit,
  node,
  redis,
  postgres,
  cpus,
  cpuModel,
  peers,
  effort,
  seconds,
}) {
  const versions = Object.entries(peers).map(([name, version]) => `${name} ${version}`)
  return [
    `Commit ${commit}, ${date.slice(0, 10)}, a ${effort} run of ${seconds} s; Node ${node.slice(1)}, Redis ${redis},`,
    `PostgreSQL ${postgres} (fsync off), ${versions.join(', ')}; ${cpus} CPUs (${cpuModel})`,
  ].join(' ')
}

/** What `free` and `pinned` mean, and what was left out. */
export function modeWords({ modes, noPinned, noTls }) {
  const pinned = modes.find(({ name }) => name === PINNED)
  return [
    'Free: the operating system places all processes.',
    pinned
      ? `Pinned: each contender runs on CPU ${pinned.contenders}, the servers on CPU ${pinned.servers}.`
      : `The pinned mode was left out, as ${noPinned}.`,
    ...(noTls ? ['TLS was left out, as this Redis was built without it.'] : []),
  ].join(' ')
}
