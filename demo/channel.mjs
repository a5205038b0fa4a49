// How an instance of the demo, a worker thread or a process, speaks with the director (director.mjs).

import process from 'node:process'
import { parentPort, workerData } from 'node:worker_threads'

/** The instance's settings, from the director. */
export const setting = workerData ?? JSON.parse(process.env.SYNCKAIROS_DEMO)

/** Calls back for each act that is asked for. */
export function onAct(listener) {
  if (parentPort) parentPort.on('message', listener)
  else {
    process.on('SIGINT', () => {}) // Ctrl-C is for the director, who ends us.
    process.on('disconnect', abandoned)
    process.on('message', listener)
  }
}

/** @param {object} message @param {() => void} [then] called once it is on its way */
export function tell(message, then = () => {}) {
  if (!parentPort) return process.send(message, then)
  parentPort.postMessage(message)
  then()
}

/** Hangs up: nothing keeps this thread or process alive then. */
export function leave() {
  if (parentPort) return parentPort.close()
  process.off('disconnect', abandoned)
  process.disconnect()
}

function abandoned() {
  process.exit(1)
}
