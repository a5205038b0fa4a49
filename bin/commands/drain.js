'use strict'

const { setTimeout: sleep } = require('node:timers/promises')
const { ExitCode } = require('../outcome.js')
const { count } = require('../settings.js')
const { counted, duration } = require('../terminal/paper.js')

const LOOK_MS = 250
const DEFAULT_SECONDS = 600

/** @type {import('../command.js').Command} */
module.exports = {
  name: 'drain',
  summary: 'waits until the workers have stored all records',
  help: `
    Before a migration, before "restore", or to see how long a backlog will last: shows how many records wait
    and how long the workers will take for them at their pace. Stores nothing itself.
    Exits with 3 if records still wait after --for.`,
  options: {
    for: { type: 'string', value: '<seconds>', help: 'how long to wait at most. Default: 600' },
  },
  examples: ['drain', 'drain --for 60 && npm run migrate'],

  async run({ servers, values, progress, checkpoint, signal }) {
    const seconds = count(values.for, '--for', { most: 1_000_000, otherwise: DEFAULT_SECONDS })
    const began = performance.now()
    const first = await backlog(servers)
    let most = first
    let left = first
    while (left > 0 && performance.now() - began < seconds * 1000) {
      await sleep(LOOK_MS, undefined, { signal }).catch(checkpoint)
      left = await backlog(servers)
      most = Math.max(most, left)
      const rate = (first - left) / (performance.now() - began)
      const estimate =
        rate > 0 ? `about ${duration(left / rate)} left` : 'no estimate: it does not shrink'
      progress.show(1 - left / most, `${counted(left, 'record')} left, ${estimate}`)
    }
    progress.end()
    const tookMs = Math.round(performance.now() - began)
    const told = left > 0 ? `still waiting: ${counted(left, 'record')}` : 'no record waits'
    return {
      json: { drained: left === 0, left, waitedFor: first, tookMs },
      lines: [`${told}, after ${duration(tookMs)}`],
      code: left > 0 ? ExitCode.FOUND : ExitCode.FINE,
    }
  },
}

/** How many records are not stored yet. @param {import('../command.js').Servers} servers */
async function backlog({ queue }) {
  const { waiting, active, delayed } = await queue.getMetrics()
  return waiting + active + delayed
}
