const started = performance.now()
require('synckairos-state')
process.stdout.write(String(performance.now() - started))
