// The process of one contender: does what its parent asks for, one thing at a time, and nothing
// in between. `ContenderProcess.mjs` starts it.

import process from 'node:process'
import { open } from '../contenders/index.mjs'
import { closedLoop } from '../measures/closed-loop.mjs'
import { soak } from '../measures/soak.mjs'

let contender
const ready = new Map()

/** What is needed for it is made when it is first asked for. */
async function operationOf({ operation, inFlight, participants }) {
  const key = `${operation}, ${inFlight} in flight, ${participants} participants`
  if (!ready.has(key)) {
    ready.set(key, await contender.operations[operation]({ loops: inFlight, participants }))
  }
  return ready.get(key)
}

const calls = {
  open: async (name, setting) => {
    contender = await open(name, setting)
  },
  prepare: async (cell) => {
    await operationOf(cell)
  },
  turn: async (cell, ms) => closedLoop(await operationOf(cell), cell.inFlight, ms),
  once: async (cell) => {
    const { run, settled } = await operationOf(cell)
    await run(0)
    await settled?.()
  },
  role: (name, ...args) => contender.roles[name](...args),
  soak: async (cells, steps) => soak(await Promise.all(cells.map(operationOf)), steps),
  close: () => contender.close(),
}

process.on('disconnect', () => process.exit())
process.on('message', async ({ name, args }) => {
  try {
    process.send({ result: await calls[name](...args) })
  } catch (error) {
    process.send({ error: error.stack })
  }
})
