const { once } = require('node:events')
const { Worker, isMainThread } = require('node:worker_threads')
const exercise = require('./exercise.cjs')

if (isMainThread) {
  const workers = [new Worker(__filename), new Worker(__filename)]
  for (const worker of workers) once(worker, 'exit').then(([code]) => (process.exitCode ||= code))
} else {
  exercise(require('synckairos-state'))
}
