const started = performance.now()
require('synckairos-state')
process.stdout.write(`${started} ${performance.now() - started}`)
