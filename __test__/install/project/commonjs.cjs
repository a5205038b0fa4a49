const exercise = require('./exercise.cjs')

exercise(require('synckairos-state'))
