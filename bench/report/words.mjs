// How figures are written, wherever they are shown.

export const factor = (value) => value.toFixed(2)

export const whole = (value) => value.toFixed(0)

export const thousands = (value) =>
  value < 1000 ? value.toFixed(0) : `${(value / 1000).toFixed(value < 10_000 ? 1 : 0)} k`

export const perSecond = (value) => `${thousands(value)}/s`

/** Of microseconds. */
export function time(micros) {
  const ms = micros / 1000
  if (micros < 10) return `${micros.toFixed(1)} µs`
  return micros < 1000 ? `${micros.toFixed(0)} µs` : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`
}

export const spread = ({ median, min, max }, write = whole) =>
  `${write(median)} [${write(min)}-${write(max)}]`

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
